"""The sections of params.yaml that say how ARTE elicits, selects and pairs."""

from dataclasses import dataclass
from typing import Any, Literal


def _below(params: Any, **least: float) -> list[str]:
    """A problem for each value below its least."""
    return [
        f"{key}: {getattr(params, key)} is below {bound:g}"
        for key, bound in least.items()
        if getattr(params, key) < bound
    ]


@dataclass(frozen=True)
class TaskParams:
    """Section `task`: how the items of a task are shared out."""

    seeds: int  # questions that a teacher is shown
    validation: int  # questions of the preference pool
    seed: int  # of the split; not the seed of a run

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _below(self, seeds=1, validation=1)


@dataclass(frozen=True)
class ElicitParams:
    """Section `elicit`: how a teacher writes questions and rationales."""

    templates: str  # folder: questions, rationale, response (.jinja), reasoning.json
    per_call: int  # questions that one call asks for
    wave: int  # calls of each task between two looks at how many are kept
    max_new_tokens: int
    temperature: float
    top_p: float
    rationale_max_new_tokens: int
    rationale_temperature: float  # of drafts; tailored data are greedy

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = _below(
            self, per_call=1, wave=1, max_new_tokens=1, temperature=0,
            rationale_max_new_tokens=1, rationale_temperature=0,
        )  # fmt: skip
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: {self.top_p} is not in (0, 1]")
        return problems


@dataclass(frozen=True)
class DraftParams:
    """Section `draft`."""

    questions: int  # kept of a task
    attempts: float  # questions written at most, in multiples of `questions`

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _below(self, questions=1, attempts=1)


@dataclass(frozen=True)
class PreferenceParams:
    """Section `preference`: which validation questions make the preference set."""

    questions: int  # kept of a task, the most discriminative
    prior: float  # standard deviation of log discrimination; 0 = no prior
    iterations: int  # of the fit, at most
    fallback: Literal["error", "correlation"]  # where the fit does not converge

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _below(self, questions=1, prior=0, iterations=1)


@dataclass(frozen=True)
class TailorParams:
    """Section `tailor`: the training data that an aligned teacher writes."""

    rows: int  # kept rows, exactly, shared out evenly over the tasks
    attempts: float  # questions written at most, in multiples of `rows`

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _below(self, rows=1, attempts=1)


@dataclass(frozen=True)
class ExamParams:
    """Section `exam`: what runs the model, and the tokens of one greedy answer at most."""

    engine: Literal["transformers", "vllm"]
    max_new_tokens: int

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _below(self, max_new_tokens=1)
