"""The list of questions of a trial, and how they are put: what fails in one leaves the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from montessori.trial.candidate import ROLES, Candidate, Role
from montessori.trial.findings import Finding, from_error, has_problems

PACKAGE = "montessori.trial"


@dataclass(frozen=True)
class Question:
    """One question: `place` is its function (module:name), imported when it is asked.

    `decides`: without a good answer no other question can be asked. `hosted`: it can be asked of a
    model that only a server has.
    """

    subject: str
    doing: str
    place: str
    roles: tuple[Role, ...] = ROLES
    decides: bool = False
    hosted: bool = False

    def concerns(self, candidate: Candidate) -> bool:
        """Whether it is asked of this model in these roles."""
        if not set(self.roles) & set(candidate.roles):
            return False
        # Only a prepared folder says whether the model is hosted, so the first question goes first.
        return self.hosted or not candidate.is_hosted

    def ask(self, candidate: Candidate) -> list[Finding]:
        """The findings; an error is one, whatever it is."""
        module, _, name = self.place.partition(":")
        try:
            function: Callable[[Candidate], list[Finding]]
            function = getattr(import_module(f"{PACKAGE}.{module}"), name)
            return function(candidate)
        except Exception as error:  # noqa: BLE001 (of libraries too: it is what is asked about)
            return [from_error(self.subject, error)]


QUESTIONS = (
    Question("folder", "checking the files", "folder:ask_folder", decides=True, hosted=True),
    Question("weights", "reading every weight", "folder:ask_weights", decides=True),
    Question("context", "comparing lengths", "folder:ask_context"),
    Question("template", "rendering one and two turns", "template:ask_template"),
    Question("engine", "writing and scoring, against plain transformers", "engine:ask_engine"),
    Question(
        "writing", "writing eight instructions", "writing:ask_writing", ("teacher",), hosted=True
    ),
    Question("dpo", "one step of DPO", "preference:ask_dpo", ("teacher",)),
    Question(
        "influence", "first order against the exact step", "training:ask_influence", ("student",)
    ),
    Question("sft", "one step of SFT", "training:ask_sft", ("student",)),
    Question("judge", "rating two answers", "judging:ask_judge", ("judge",), hosted=True),
    Question("memory", "measuring a backward pass", "memory:ask_memory", ("teacher", "student")),
)


def ask_questions(candidate: Candidate, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Every finding as it is made; `tell` is given what is being done."""
    for question in QUESTIONS:
        if not question.concerns(candidate):
            continue
        tell(f"{question.subject}: {question.doing}")
        findings = question.ask(candidate)
        yield from findings
        if question.decides and has_problems(findings):
            return
