"""Runs the lab's closed benchmarks in lm-eval: micro_mmlu (choices), micro_gsm8k (generation)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from montessori.errors import MontessoriError
from montessori.evals.answers import remove_specials
from montessori.evals.items import CLOSED, GSM8K, MMLU
from montessori.evals.lab_benchmarks.loglikelihoods import score_pairs
from montessori.evals.lab_benchmarks.tasks.documents import TASKS
from montessori.generate import Request, Sampling
from montessori.models.chat import special_texts
from montessori.progress import track_progress

if TYPE_CHECKING:
    from montessori.generate.transformers_engine import TransformersEngine

TokenRequest = tuple[tuple[str, str], list[int], list[int]]  # texts, context ids, continuation ids


@dataclass(frozen=True)
class HarnessResult:
    """Results of lm-eval, one row per item, in the order of the items.

    choices: of micro_mmlu, with item_id, subject, acc, acc_norm (0 or 1). words: of the word
    problems of micro_gsm8k, with item_id, strict, flexible (0 or 1), note ("empty", "truncated" or
    ""). versions: of the tasks and of lm-eval.
    """

    choices: list[dict[str, Any]]
    words: list[dict[str, Any]]
    versions: dict[str, str]


class HarnessModel(HFLM):
    """lm-eval's Hugging Face model, which generates with the engine of all other stages.

    Prompts are rendered by the model's own chat template and encoded as rendered, without
    additional special tokens. batch: rows of one forward pass when choices are scored.
    """

    def __init__(self, engine: "TransformersEngine", batch: int) -> None:
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        super().__init__(
            pretrained=engine.model,
            tokenizer=engine.tokenizer,
            batch_size=batch,
            add_bos_token=False,  # the chat template writes it
        )
        self.engine = engine
        self.truncated: set[str] = set()  # prompts whose answer reached the limit of tokens

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Log-likelihood (nats) of each continuation, and whether it is the greedy one.

        Without lm-eval's progress bar, whatever it asks for.
        """
        return super().loglikelihood(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self,
        requests: list[TokenRequest],
        disable_tqdm: bool = True,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """`loglikelihood` of tokenized pairs.

        Raises MontessoriError for a pair longer than the model's context, which lm-eval would cut.
        """
        longest = max((len(context) + len(rest) for _, context, rest in requests), default=0)
        if longest > self.max_length:
            raise MontessoriError(
                f"a question with its choice has {longest} tokens",
                expected=f"at most {self.max_length}, the context of the model",
                next="shorten the items of the source named by sources.evals, then `dvc repro`",
            )
        pairs = [(context, continuation) for _, context, continuation in requests]
        return score_pairs(self.engine, pairs, self.batch_size)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """The greedy answer to each prompt, without special tokens, cut at the first stop text."""
        if not requests:
            return []
        limits = {instance.args[1]["max_gen_toks"] for instance in requests}
        prompts = [Request(self.tok_encode(instance.args[0])) for instance in requests]
        with track_progress(len(prompts), "answers", "lm-eval") as progress:
            written = self.engine.generate(prompts, Sampling(max(limits)), progress.advance)
        specials = special_texts(self.tokenizer)
        self.truncated = set()
        answers = []
        for instance, answer in zip(requests, written, strict=True):
            prompt, options = instance.args
            if not answer.finished:
                self.truncated.add(prompt)
            answers.append(_cut_at_stops(remove_specials(answer.text, specials), options["until"]))
        return answers


def _cut_at_stops(text: str, stops: Sequence[str]) -> str:
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends)] if ends else text


def run_harness(
    model: HarnessModel, items: Path, max_new_tokens: int, names: Sequence[str] = CLOSED
) -> HarnessResult:
    """Run the closed benchmarks `names` on a model, offline.

    items: folder of <benchmark>.jsonl. max_new_tokens: of an answer to micro_gsm8k.
    """
    manager = TaskManager(
        include_path=str(TASKS),
        include_defaults=False,
        metadata={"items": str(Path(items).resolve())},
    )
    loaded = manager.load(list(names))
    kwargs = {"max_gen_toks": max_new_tokens}
    if GSM8K in names:
        loaded["tasks"][GSM8K].set_config("generation_kwargs", kwargs, update=True)
    # Not `simple_evaluate`: it also runs git and other programs to describe the machine, which
    # takes two seconds and finds nothing that a metric may hold.
    results = evaluate(model, loaded, bootstrap_iters=0, log_samples=True, apply_chat_template=True)
    samples = results["samples"]
    return HarnessResult(
        choices=[_choice_row(sample) for sample in samples.get(MMLU, ())],
        words=_word_rows(samples.get(GSM8K, ()), model.truncated),
        versions=_read_versions(results["versions"]),
    )


def _choice_row(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": sample["doc"]["item_id"],
        "subject": sample["doc"]["family"],
        "acc": float(sample["acc"]),
        "acc_norm": float(sample["acc_norm"]),
    }


def _word_rows(samples: Sequence[Mapping[str, Any]], truncated: set[str]) -> list[dict[str, Any]]:
    """One row per item; lm-eval has one sample per item and filter."""
    rows: dict[str, dict[str, Any]] = {}
    names = {"strict-match": "strict", "flexible-extract": "flexible"}
    for sample in samples:
        name = sample["doc"]["item_id"]
        row = rows.setdefault(name, {"item_id": name, "note": _answer_note(sample, truncated)})
        row[names[sample["filter"]]] = float(sample["exact_match"])
    return list(rows.values())


def _answer_note(sample: Mapping[str, Any], truncated: set[str]) -> str:
    if not sample["resps"][0][0].strip():
        return "empty"
    return "truncated" if sample["arguments"][0][0] in truncated else ""


def _read_versions(tasks: Mapping[str, Any]) -> dict[str, str]:
    return {"lm_eval": lm_eval.__version__} | {name: str(value) for name, value in tasks.items()}
