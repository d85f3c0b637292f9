"""Demonstrations and questions as the text that a student reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from montessori.icl.answers import tagged_answer, working_of
from montessori.icl.settings import IclParams
from montessori.icl.student import Asked, Ids, Student
from montessori.icl.templates import read_templates, render

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
        return cls(*(found[name] for name in NAMES), settings.answers)

    def shown(self, question: str, response: str) -> str:
        """One solved question. A tagged answer is told apart from the working before it."""
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

    def stated(self, answer: str) -> list[str]:
        """Every way to state an answer, each once."""
        return list(dict.fromkeys(form.format(answer=answer) for form in self.answers))


def group(
    student: Student, texts: Texts, prefix: str, questions: pl.DataFrame, whole: bool
) -> tuple[Ids, list[Asked]]:
    """What `student` reads: a prefix and questions (QUESTIONS).

    With `whole` the answer to an open question is its gold response, where it has one.
    """
    answers = []
    for target, response in questions.select("target", "response").iter_rows():
        gold = response if whole and response is not None else target
        answers.append(texts.stated(gold)[: 1 if whole else None])
    asked = [texts.asked(text) for text in questions["input"]]
    return student.asked(prefix, asked, answers)

