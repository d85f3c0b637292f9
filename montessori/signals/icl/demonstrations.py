"""Demonstrations and questions as the text that a student reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from montessori.artifacts.dialogue import assistant_turns, join_system, user_turns
from montessori.signals.icl.answers import remove_answer, tagged_answer
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.templates import fill_template, read_templates
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
    def read_folder(cls, folder: Path, settings: IclParams) -> "Texts":
        """From a folder of templates. Raises MontessoriError when one is missing."""
        texts = read_templates(folder, *NAMES)
        return cls(texts[NAMES[0]], texts[NAMES[1]], settings.answers)

    def render_demonstration(self, question: str, response: str) -> str:
        """One solved question. A tagged answer is separated from the working before it."""
        tagged = tagged_answer(response)
        return fill_template(
            self.demonstration,
            NAMES[0],
            question=question,
            response=response,
            working=remove_answer(response) if tagged is not None else "",
            answer=response.strip() if tagged is None else tagged,
        )

    def render_dialogue(self, messages: Sequence[dict[str, str]]) -> str:
        """Every user turn of a dialogue with its answer, as demonstrations.

        A system prompt stands before the first turn's text.
        """
        joined, shown = join_system(messages), ""
        for turn, reply in zip(user_turns(joined), assistant_turns(joined), strict=True):
            shown += self.render_demonstration(turn, reply)
        return shown

    def render_question(self, question: str) -> str:
        """An open question, up to where the student answers."""
        return fill_template(self.question, NAMES[1], question=question)

    def state_answer(self, target: str, response: str | None) -> list[str]:
        """Every way to state an answer, each once; the gold response itself is one of them."""
        forms = [form.format(answer=target) for form in self.answers]
        gold = [] if response is None else [self.state_response(response)]
        return list(dict.fromkeys(forms + gold))

    def state_response(self, response: str) -> str:
        """A full response in the first of the ways to state an answer."""
        return self.answers[0].format(answer=response)


def build_group(
    student: "Student", texts: Texts, prefix: str, questions: pl.DataFrame, whole: bool
) -> Group:
    """The tokens that `student` reads: a prefix, questions (QUESTIONS) and their answers.

    With `whole` the only answer is the gold response, or the target where there is none.
    """
    asked, answers = [], []
    for text, target, response in questions.select("input", "target", "response").iter_rows():
        asked.append(texts.render_question(text))
        if whole:
            answers.append([texts.state_response(response or target)])
        else:
            answers.append(texts.state_answer(target, response))
    return split_tokens(student.tokenizer, prefix, asked, answers)
