"""The teacher's prompts, from a folder of templates, and the questions read from what it writes.

Formats of ARTE (arXiv 2406.19227): `<Question_k><input>..</input><target>..</target></Question_k>`
for questions, `<ans>..</ans>` around the answer of a rationale.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from montessori.arte.settings import ElicitParams
from montessori.arte.tasks import Item, Task
from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.signals.icl.answers import tagged_answer, working_of
from montessori.signals.icl.templates import read_templates, render

NAMES = ("questions", "rationale", "response")
REASONING = "reasoning.json"
_QUESTION = re.compile(
    r"<Question_(\d+)>\s*<input>((?:(?!</?input>|<Question_).)*)</input>"
    r"\s*<target>((?:(?!</?target>|<Question_).)*)</target>\s*</Question_\1>",
    re.DOTALL,
)


def tagged_question(number: int, item: Item) -> str:
    """A question as teachers are shown it and write it."""
    return (
        f"<Question_{number}><input>{item.input}</input>"
        f"<target>{item.target}</target></Question_{number}>"
    )


@dataclass(frozen=True)
class Asked:
    """A question that a teacher wrote: its text as written but for its number, and its parts."""

    raw: str
    input: str
    target: str


def parse_questions(text: str, first: int, most: int) -> list[Asked]:
    """The well-formed questions numbered from `first` up, at most `most`, each as number `first`.

    Earlier numbers are copies of the examples. A part without text makes a question malformed.
    """
    found = []
    for match in _QUESTION.finditer(text):
        number, asked, target = match[1], match[2].strip(), match[3].strip()
        if int(number) >= first and asked and target:
            raw = match[0].replace(f"Question_{number}>", f"Question_{first}>")
            found.append(Asked(raw, asked, target))
    return found[:most]


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
    def load(cls, folder: Path, settings: ElicitParams) -> Self:
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
        return render(
            self.questions,
            NAMES[0],
            description=task.description,
            seeds=[tagged_question(n, item) for n, item in enumerate(task.seeds, 1)],
            wanted=self.per_call,
            first=len(task.seeds) + 1,
        )

    def rationale_prompt(self, task: Task, question: str, reasoning: str) -> str:
        """What asks for a solution in the way of a reasoning prompt."""
        return render(
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

    def trained(self, rationale: str) -> str:
        """What a student is trained to answer, from a rationale with its tagged answer."""
        return render(
            self.response,
            NAMES[2],
            rationale=rationale.strip(),
            working=working_of(rationale),
            answer=tagged_answer(rationale) or "",
        ).strip()


def shown(prompts: Sequence[str]) -> list[list[dict[str, str]]]:
    """Prompts as dialogues that a teacher is to continue."""
    return [[{"role": "user", "content": text}] for text in prompts]
