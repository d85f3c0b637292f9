"""Typed sections of params.yaml for the stages answers, judge and eval."""

from dataclasses import dataclass
from typing import Literal

from montessori.generate.settings import EngineName


@dataclass(frozen=True)
class BenchmarkParams:
    """Section `benchmark`: which items are asked, and how long an answer may be.

    engine: what runs the model that answers the open benchmarks.
    split: "dev" while settings are chosen, "test" once.
    max_new_tokens: tokens of one answer; decoding is greedy.
    """

    split: Literal["dev", "test"]
    max_new_tokens: int
    engine: Literal["transformers", "vllm"] = "transformers"

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        return [] if self.max_new_tokens >= 1 else ["max_new_tokens: must be at least 1"]


@dataclass(frozen=True)
class JudgeParams:
    """Section `judge`: who judges answers to open benchmarks, and how it is asked.

    model: a .json file {"kind": "grader"} for the lab's checker, or a model folder of the stage
    models, hosted ones too. engine: what runs a model folder. prompts: the folder of the prompt
    templates. orders: the two answers of a comparison in an order drawn at random for each row, or
    judged in both. repeats: verdicts on each turn of MT-Bench. pairwise: MT-Bench also against the
    other run, in both orders. max_new_tokens: of a verdict on MT-Bench. choice_tokens: of a
    verdict on AlpacaEval. temperature: of verdicts on MT-Bench. top_logprobs: likeliest first
    tokens of a verdict on AlpacaEval that are asked for; 0 = its text is read.
    """

    model: str
    prompts: str
    engine: EngineName = "transformers"
    orders: Literal["random", "both"] = "random"
    repeats: int = 1
    pairwise: bool = False
    max_new_tokens: int = 2048
    choice_tokens: int = 1
    temperature: float = 0.0
    top_logprobs: int = 5

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        least = {"repeats": 1, "max_new_tokens": 1, "choice_tokens": 1, "top_logprobs": 0,
                 "temperature": 0.0}  # fmt: skip
        return [f"{key}: must be at least {bound:g}" for key, bound in least.items()
                if getattr(self, key) < bound]  # fmt: skip


@dataclass(frozen=True)
class EvalParams:
    """Section `eval`: batch is the rows of one forward pass; it moves scores by rounding only."""

    batch: int

    def check(self) -> list[str]:
        """Problems of the values, one line each."""
        return [] if self.batch >= 1 else ["batch: must be at least 1"]
