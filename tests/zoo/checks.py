"""What every architecture must hold, each as a function of a model folder.

A check returns "" or how the model falls back; it raises MontessoriError where the project refuses
the model, and AssertionError where a number is wrong.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from montessori.evals.lab_benchmarks.loglikelihoods import score_pairs
from montessori.generate import Request, Sampling
from montessori.generate.transformers_engine import TransformersEngine
from montessori.models import chat
from montessori.models.weights import load_model, save_model
from montessori.train.loss import IGNORED, tokenize_rows
from tests.tiny_rows import exchange, row

Check = Callable[[Path], str]

QUESTIONS = [exchange(i)[0] for i in (1, 2, 3)] + ["Hi", "What is the opposite of hot, and of wet?"]
CHOICES = (" yes", "41", " The answer is cold.")
NEW = 10  # tokens of a text
LOGITS, NATS = 2e-3, 2e-3  # what rounding in fp32 makes of logits and of log-likelihoods


@cache
def open_engine(folder: Path) -> TransformersEngine:
    """The engine of the folder, opened once."""
    return TransformersEngine(folder, device="cpu", threads=1)


def check_template(folder: Path) -> str:
    """The loss is on answers and the ends of their turns, and generation sees the same prompt."""
    tokenizer = chat.load_tokenizer(folder)
    for turns in (1, 2):
        messages = [message for i in range(turns) for message in row(i)["messages"]]
        made = tokenize_rows(tokenizer, [messages], 1000)[0]
        trained = [label for label in made.labels if label != IGNORED]
        answers = [message["content"] for message in messages if message["role"] == "assistant"]
        text = tokenizer.decode(trained, clean_up_tokenization_spaces=False)
        assert text == "".join(answer + "<|end|>" for answer in answers)
        prompt = chat.render_prompts(tokenizer, [messages[:-1]])[0]
        assert made.ids[: len(prompt)] == prompt
    return ""


def check_text(folder: Path) -> str:
    """Greedy text in a padded batch is what plain transformers writes after each prompt alone."""
    engine, plain = open_engine(folder), load_model(folder).eval()
    prompts = engine.render_prompts([[{"role": "user", "content": text}] for text in QUESTIONS])
    written = engine.generate([Request(ids, (1, 2)) for ids in prompts], Sampling(NEW))
    expected = [_plain_text(engine, plain, ids) for ids in prompts]
    assert [sample.text for sample in written] == [text for text in expected for _ in (1, 2)]
    return "" if engine.way.padded else str(engine.way)


@torch.inference_mode()
def _plain_text(engine: TransformersEngine, model: torch.nn.Module, prompt: list[int]) -> str:
    """Greedy text by whole passes: no cache, no padding, no batch."""
    ids = list(prompt)
    while len(ids) < len(prompt) + NEW:
        token = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in engine.end_ids:
            break
        ids.append(token)
    return engine.decode_texts([ids[len(prompt) :]])[0]


@torch.inference_mode()
def check_choices(folder: Path) -> str:
    """Choices that share contexts have the log-likelihoods of single passes, in nats."""
    engine, plain = open_engine(folder), load_model(folder).eval()
    contexts = engine.render_prompts([[{"role": "user", "content": text}] for text in QUESTIONS])
    choices = [engine.tokenizer(text, add_special_tokens=False)["input_ids"] for text in CHOICES]
    pairs = [(context, choice) for choice in choices for context in contexts]
    for (score, _), (context, choice) in zip(score_pairs(engine, pairs, 3), pairs, strict=True):
        logits = plain(input_ids=torch.tensor([[*context, *choice]])).logits[0].float()
        logprobs = logits[len(context) - 1 : -1].log_softmax(-1)
        expected = float(logprobs.gather(1, torch.tensor(choice)[:, None]).sum())
        assert abs(score - expected) < NATS, f"{score:.4f} nats, not {expected:.4f}"
    return "" if engine.way.joined else "each choice with its context"


def check_save(folder: Path) -> str:
    """A changed model, saved and loaded, has the same logits."""
    model = load_model(folder).eval()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.mul_(1.0 + 0.01 * (number % 3))
    out = folder / "saved"
    out.mkdir()
    save_model(model, folder, out)
    _assert_same_logits(model, load_model(out))
    return ""


@torch.inference_mode()
def _assert_same_logits(first: torch.nn.Module, second: torch.nn.Module) -> None:
    ids = torch.arange(10, 40)[None]
    difference = first.eval()(input_ids=ids).logits - second.eval()(input_ids=ids).logits
    assert difference.abs().max() < 1e-5, "other logits after saving and loading"
