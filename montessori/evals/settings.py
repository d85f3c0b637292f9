"""Typed sections of params.yaml for the stages answers, judge and eval."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.generate.settings import EngineName
from montessori.graph.limits import AnyPath, Count, FolderPath, NotNegative, Rows, Tokens, Whole


@dataclass(frozen=True)
class BenchmarkParams:
    """Section `benchmark`: which items are asked, what runs the model, how it may answer."""

    split: Literal["dev", "test"]
    max_new_tokens: Tokens
    engine: Literal["transformers", "vllm"] = "transformers"


@dataclass(frozen=True)
class JudgeParams:
    """Section `judge`: who judges answers to open benchmarks, and how it is asked.

    `model` is a .json file {"kind": "grader"} for the lab's checker, or a model folder of the
    stage models, hosted ones too. `repeats`, `max_new_tokens` and `temperature` are of MT-Bench,
    `choice_tokens` and `top_logprobs` of AlpacaEval.
    """

    model: AnyPath
    prompts: FolderPath
    engine: EngineName = "transformers"
    orders: Literal["random", "both"] = "random"
    repeats: Annotated[Count, "verdicts"] = 1
    pairwise: bool = False
    max_new_tokens: Tokens = 2048
    choice_tokens: Tokens = 1
    temperature: NotNegative = 0.0
    top_logprobs: Annotated[Whole, "tokens"] = 5


@dataclass(frozen=True)
class EvalParams:
    """Section `eval`: how the answers of closed benchmarks and held-out rows are scored."""

    batch: Rows
    max_length: Tokens = 256
