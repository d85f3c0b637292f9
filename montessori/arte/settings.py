"""The sections of params.yaml that say how ARTE elicits, selects and pairs."""

from dataclasses import dataclass
from typing import Annotated, Literal

from montessori.graph.limits import (
    AtLeast,
    Count,
    FolderPath,
    NotNegative,
    PositiveShare,
    Rows,
    Tokens,
)

Questions = Annotated[Count, "questions"]


@dataclass(frozen=True)
class TaskParams:
    """Section `task`: how the items of a task are shared out."""

    seeds: Questions
    validation: Questions
    seed: int


@dataclass(frozen=True)
class ElicitParams:
    """Section `elicit`: how a teacher writes questions and rationales."""

    templates: FolderPath
    per_call: Questions
    wave: Annotated[Count, "calls"]
    max_new_tokens: Tokens
    temperature: NotNegative
    top_p: PositiveShare
    rationale_max_new_tokens: Tokens
    rationale_temperature: NotNegative
    format: Literal["tags", "prefill"] = "tags"


@dataclass(frozen=True)
class DraftParams:
    """Section `draft`: how many questions and rationales a teacher writes for a task."""

    questions: Questions
    attempts: Annotated[float, AtLeast(1), "multiples of questions"]


@dataclass(frozen=True)
class PreferenceParams:
    """Section `preference`: which validation questions make the preference set."""

    questions: Questions
    prior: Annotated[NotNegative, "standard deviation"]
    iterations: Annotated[Count, "iterations"]
    fallback: Literal["error", "correlation"]


@dataclass(frozen=True)
class TailorParams:
    """Section `tailor`: the training data that an aligned teacher writes."""

    rows: Rows
    attempts: Annotated[float, AtLeast(1), "multiples of rows"]


@dataclass(frozen=True)
class ExamParams:
    """Section `exam`: what runs the model, and the tokens of one greedy answer at most."""

    engine: Literal["transformers", "vllm"]
    max_new_tokens: Tokens
