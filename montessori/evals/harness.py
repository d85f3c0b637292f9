"""The benchmarks that lm-eval runs: micro_mmlu (multiple choice) and micro_gsm8k (generation)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from montessori.evals.items import GSM8K, MMLU
from montessori.evals.tasks.documents import TASKS


@dataclass(frozen=True)
class HarnessResult:
    """What lm-eval found, one row per item, in the order of the items.

    choices: item_id, subject, acc, acc_norm (0 or 1). words: item_id, strict, flexible (0 or 1).
    versions: of the tasks and of lm-eval.
    """

    choices: list[dict[str, Any]]
    words: list[dict[str, Any]]
    versions: dict[str, str]


class HarnessModel(HFLM):
    """lm-eval's Hugging Face model without its progress bars, special tokens as rendered."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, batch: int
    ) -> None:
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch,
            add_bos_token=False,
        )

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether it is the greedy one."""
        return super().loglikelihood(requests, disable_tqdm=True)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """The greedy answer to each rendered prompt."""
        return super().generate_until(requests, disable_tqdm=True)


def run_harness(model: HarnessModel, items: Path, max_new_tokens: int) -> HarnessResult:
    """Run both lm-eval benchmarks on a model, offline.

    items: folder of <benchmark>.jsonl. max_new_tokens: of an answer to micro_gsm8k.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(
        include_path=str(TASKS),
        include_defaults=False,
        metadata={"items": str(Path(items).resolve())},
    )
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[MMLU, GSM8K],
        task_manager=manager,
        gen_kwargs={"max_gen_toks": max_new_tokens},
        apply_chat_template=True,
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = results["samples"]
    return HarnessResult(
        choices=[_choice(sample) for sample in samples[MMLU]],
        words=_words(samples[GSM8K]),
        versions=_versions(results["versions"]),
    )


def _choice(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": sample["doc"]["item_id"],
        "subject": sample["doc"]["family"],
        "acc": float(sample["acc"]),
        "acc_norm": float(sample["acc_norm"]),
    }


def _words(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per item from lm-eval's one sample per item and filter."""
    rows: dict[str, dict[str, Any]] = {}
    names = {"strict-match": "strict", "flexible-extract": "flexible"}
    for sample in samples:
        row = rows.setdefault(sample["doc"]["item_id"], {"item_id": sample["doc"]["item_id"]})
        row[names[sample["filter"]]] = float(sample["exact_match"])
        row["answer"] = sample["resps"][0][0]
    return list(rows.values())


def _versions(tasks: Mapping[str, Any]) -> dict[str, str]:
    return {"lm_eval": lm_eval.__version__} | {name: str(value) for name, value in tasks.items()}
