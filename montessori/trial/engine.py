"""Questions on the engine: does it write and score what plain transformers does?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from montessori.artifacts.dialogue import build_prompts
from montessori.evals.lab_benchmarks.loglikelihoods import score_pairs
from montessori.generate.engine import Request, Sampling
from montessori.generate.transformers_engine import TransformersEngine
from montessori.models.adapters import load_merged
from montessori.trial.candidate import Candidate
from montessori.trial.cost import measured_step
from montessori.trial.findings import Finding, show_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROMPTS, NEW = 4, 16
#: Logits this close are a tie: another order of sums may decide it. In bf16 they are coarser.
TIE = {torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.02}
NATS = {torch.float32: 1e-2, torch.bfloat16: 0.5, torch.float16: 0.05}
CHOICES = (" yes", " no", " Paris", " It is the second one.")

Ids = Sequence[int]


def ask_engine(candidate: Candidate) -> list[Finding]:
    """Greedy text of prompts of different lengths in one batch, and choices' log-likelihoods."""
    engine = TransformersEngine.open(candidate.folder, candidate.settings.machine)
    questions = [row.turns[0] for row in candidate.seeds[:PROMPTS]]
    prompts = [list(ids) for ids in engine.render_prompts(build_prompts(questions))]
    tokens = PROMPTS * (max(map(len, prompts)) + NEW)
    with measured_step(candidate, "generation", tokens):
        written = engine.generate([Request(ids) for ids in prompts], Sampling(NEW))
    choices = [engine.tokenizer(text, add_special_tokens=False)["input_ids"] for text in CHOICES]
    pairs = [(prompt, choice) for prompt in prompts for choice in choices]
    scores = [score for score, _ in score_pairs(engine, pairs, PROMPTS)]
    dtype, ends, device = engine.dtype, engine.end_ids, engine.device
    texts = [sample.text for sample in written]
    way = "" if engine.way.padded else f"; slower than others: {engine.way}"
    del engine
    plain = load_merged(candidate.folder, dtype).to(device).eval()
    found = _compare_texts(candidate, plain, prompts, texts, ends)
    return [replace(found, text=found.text + way), _compare_scores(plain, pairs, scores)]


def _compare_texts(
    candidate: Candidate,
    plain: "PreTrainedModel",
    prompts: Sequence[Ids],
    texts: Sequence[str],
    ends: frozenset[int],
) -> Finding:
    tie, differing = TIE.get(plain.dtype, 1e-3), []
    for prompt, text in zip(prompts, texts, strict=True):
        ids, gaps = write_greedily(plain, prompt, NEW, ends)
        expected = candidate.tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        if expected != text and min(gaps, default=1.0) > tie:
            differing.append(f"plain {show_text(expected)}, engine {show_text(text)}")
    if differing:
        return Finding(
            "engine",
            "problem",
            f"{len(differing)} of {len(prompts)} greedy texts are not those of plain transformers",
            "set generation.engine: vllm, and report the model's config.json: data and answers of "
            "this engine would be wrong",
            tuple(differing[:2]),
        )
    shown = tuple(f"greedy: {show_text(text)}" for text in texts[:2])
    text = f"greedy text of {len(prompts)} prompts in a batch is that of plain transformers"
    return Finding("engine", "ok", text, lines=shown)


@torch.inference_mode()
def write_greedily(
    model: "PreTrainedModel", prompt: Ids, most: int, ends: frozenset[int]
) -> tuple[list[int], list[float]]:
    """Greedy tokens by plain forward passes over the whole text, and each step's lead in logits.

    No cache, no padding and no batch: nothing that an engine could get wrong.
    """
    ids, gaps = list(prompt), []
    for _ in range(most):
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1].float()
        best = logits.topk(2)
        gaps.append(float(best.values[0] - best.values[1]))
        token = int(best.indices[0])
        if token in ends:
            break
        ids.append(token)
    return ids[len(prompt) :], gaps


def _compare_scores(
    plain: "PreTrainedModel", pairs: Sequence[tuple[Ids, Ids]], scores: Sequence[float]
) -> Finding:
    expected = [score_plainly(plain, context, choice) for context, choice in pairs]
    worst = max(abs(a - b) for a, b in zip(scores, expected, strict=True))
    if not worst <= NATS.get(plain.dtype, 1e-2):
        return Finding(
            "engine",
            "problem",
            f"log-likelihoods of choices are off by up to {worst:.2g} nats from plain transformers",
            "closed benchmarks of this model would be wrong: report the model's config.json",
        )
    text = f"log-likelihoods of {len(pairs)} choices are equal to {worst:.1g} nats"
    return Finding("engine", "ok", text)


@torch.inference_mode()
def score_plainly(model: "PreTrainedModel", context: Ids, choice: Ids) -> float:
    """Summed log-probability (nats) of `choice` after `context`, by one pass over both."""
    ids = torch.tensor([[*context, *choice]], device=model.device)
    logits = model(input_ids=ids).logits[0, len(context) - 1 : -1].float()
    logprobs = logits.log_softmax(dim=-1)
    return float(logprobs.gather(1, ids[0, len(context) :, None]).sum())
