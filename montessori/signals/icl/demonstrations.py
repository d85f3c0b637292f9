"""Demonstrations and questions as the text that a student reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from montessori.signals.icl.answers import tagged_answer, working_of
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.templates import read_templates, render
from montessori.signals.icl.tokens import Group, split_tokens

if TYPE_CHECKING:
    from montessori.signals.icl.student import Student

NAMES = ("demonstration", "question")


@dataclass(frozen=True)
class Texts:
    """The templates of demonstrations and questions, and the ways to state an answer."""

    demonstration: str
    question: str
    answers: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path, settings: IclParams) -> "Texts":
        """From a folder of templates. Raises MontessoriError when one is missing."""
        found = read_templates(folder, *NAMES)
        return cls(found[NAMES[0]], found[NAMES[1]], settings.answers)

    def shown(self, question: str, response: str) -> str:
        """One solved question. A tagged answer is set apart from the working before it."""
        tagged = tagged_answer(response)
        return render(
            self.demonstration,
            NAMES[0],
            question=question,
            response=response,
            working=working_of(response) if tagged is not None else "",
            answer=response.strip() if tagged is None else tagged,
        )

    def dialogue(self, messages: Sequence[dict[str, str]]) -> str:
        """Every user turn of a dialogue with its answer, as demonstrations."""
        turns = zip(messages[::2], messages[1::2], strict=True)
        return "".join(self.shown(user["content"], reply["content"]) for user, reply in turns)

    def asked(self, question: str) -> str:
        """An open question, up to where the student answers."""
        return render(self.question, NAMES[1], question=question)

    def stated(self, target: str, response: str | None) -> list[str]:
        """Every way to state an answer, each once; the gold response itself is one of them."""
        forms = [form.format(answer=target) for form in self.answers]
        gold = [] if response is None else [self.whole(response)]
        return list(dict.fromkeys(forms + gold))

    def whole(self, response: str) -> str:
        """A full response in the first of the ways to state an answer."""
        return self.answers[0].format(answer=response)


def group(
    student: "Student", texts: Texts, prefix: str, questions: pl.DataFrame, whole: bool
) -> Group:
    """What `student` reads: a prefix and questions (QUESTIONS).

    With `whole` the only answer is the gold response, or the target where there is none.
    """
    golds = questions.select("target", "response").iter_rows()
    answers = [
        [texts.whole(response or target)] if whole else texts.stated(target, response)
        for target, response in golds
    ]
    asked = [texts.asked(text) for text in questions["input"]]
    return split_tokens(student.tokenizer, prefix, asked, answers)
