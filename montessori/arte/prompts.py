"""The teacher's prompts, from a folder of templates, and the questions read from what it writes.

Formats of ARTE (arXiv 2406.19227): `<Question_k><input>..</input><target>..</target></Question_k>`
for questions, `<ans>..</ans>` around the answer of a rationale.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Item, Task
from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.signals.icl.answers import remove_answer, tagged_answer
from montessori.signals.icl.templates import fill_template, read_templates

NAMES = ("questions", "rationale", "response")
REASONING = "reasoning.json"
# No part may run over the next tag: an unclosed question would swallow those behind it. The number
# of the closing tag must be that of the opening one.
_QUESTION = re.compile(
    r"<Question_(\d+)>\s*<input>((?:(?!</?input>|<Question_).)*)</input>"
    r"\s*<target>((?:(?!</?target>|<Question_).)*)</target>\s*</Question_\1>",
    re.DOTALL,
)


def tag_question(number: int, item: Item) -> str:
    """A question as teachers are shown it and write it."""
    return (
        f"<Question_{number}><input>{item.input}</input>"
        f"<target>{item.target}</target></Question_{number}>"
    )


@dataclass(frozen=True)
class WrittenQuestion:
    """A question that a teacher wrote: its tagged text, with a fixed number, and its two parts."""

    raw: str
    input: str
    target: str


def parse_questions(text: str, first: int, most: int) -> list[WrittenQuestion]:
    """The first `most` well-formed questions numbered from `first` up, each renumbered `first`.

    Questions with lower numbers are copies of the examples. A part without text makes a question
    malformed.
    """
    questions = []
    for match in _QUESTION.finditer(text):
        number, question, target = match[1], match[2].strip(), match[3].strip()
        if int(number) >= first and question and target:
            raw = match[0].replace(f"Question_{number}>", f"Question_{first}>")
            questions.append(WrittenQuestion(raw, question, target))
    return questions[:most]


@dataclass(frozen=True)
class Prompts:
    """The templates of a folder, the naive reasoning prompt and the special ones."""

    questions: str
    rationale: str
    response: str
    naive: str
    special: tuple[str, ...]
    per_call: int

    @classmethod
    def read_folder(cls, folder: Path, settings: ElicitParams) -> Self:
        """From a folder of templates. Raises MontessoriError for what is missing there."""
        texts = read_templates(folder, *NAMES)
        raw = read_json(folder / REASONING)
        naive, special = raw.get("naive"), raw.get("special")
        if not (isinstance(naive, str) and naive and isinstance(special, list) and special):
            raise MontessoriError(
                "the reasoning prompts cannot be read",
                where=str(folder / REASONING),
                expected='{"naive": text, "special": [text, ...]}',
                next="compare with data/micro/prompts/elicit/reasoning.json",
            )
        return cls(
            questions=texts["questions"],
            rationale=texts["rationale"],
            response=texts["response"],
            naive=naive,
            special=tuple(special),
            per_call=settings.per_call,
        )

    def question_prompt(self, task: Task) -> str:
        """What asks for further questions: the description and all seed questions of a task."""
        return fill_template(
            self.questions,
            NAMES[0],
            description=task.description,
            seeds=[tag_question(n, item) for n, item in enumerate(task.seeds, 1)],
            wanted=self.per_call,
            first=len(task.seeds) + 1,
        )

    def question_opening(self, task: Task) -> str:
        """How an answer to `question_prompt` begins."""
        return f"<Question_{len(task.seeds) + 1}><input>"

    def rationale_prompt(self, task: Task, question: str, reasoning: str) -> str:
        """What asks for a solution in the way of a reasoning prompt."""
        return fill_template(
            self.rationale,
            NAMES[1],
            description=task.description,
            question=question,
            reasoning=reasoning,
        )

    def reasoning_of(self, task: Task) -> tuple[str, ...]:
        """The special reasoning prompts of a task: its own, or those of the folder."""
        return task.reasoning or self.special

    def strategy_of(self, task: Task) -> str:
        """The one reasoning prompt of the consistent-strategy control."""
        return task.strategy or self.reasoning_of(task)[0]

    def render_response(self, rationale: str) -> str:
        """What a student is trained to answer, from a rationale with its tagged answer."""
        return fill_template(
            self.response,
            NAMES[2],
            rationale=rationale.strip(),
            working=remove_answer(rationale),
            answer=tagged_answer(rationale) or "",
        ).strip()
