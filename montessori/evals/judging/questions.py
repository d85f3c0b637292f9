"""What a judge is asked: about which answers to which item, in which order, how often."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import ANSWERS
from montessori.errors import MontessoriError
from montessori.evals.items import (
    AGAINST_REFERENCE,
    LENGTH_CONTROLLED,
    OPEN,
    PAIRED,
    PUBLIC_ALPACA,
    Item,
    present_benchmarks,
    read_items,
)
from montessori.evals.settings import JudgeParams
from montessori.seeding import seed_of

TABLE = "answers.parquet"
Opponent = Literal["", "run", "reference"]


@dataclass(frozen=True)
class TurnAnswer:
    """An answer to one turn: its text, its tokens, and whether the model ended it itself."""

    text: str
    tokens: int = 0
    finished: bool = True

    @property
    def note(self) -> str:
        """What is odd about the answer.

        "context": the question left no room for an answer; "thinking": nothing but a thought, which
        is no text, was written.
        """
        if not self.finished and self.tokens == 0 and not self.text:
            return "context"
        if not self.text and self.tokens:
            return "thinking"
        if not self.text.strip():
            return "empty"
        return "" if self.finished else "truncated"


TurnAnswers = tuple[TurnAnswer, ...]  # one per turn of an item
Answers = Mapping[tuple[str, int], TurnAnswer]  # (item, turn) -> answer


@dataclass(frozen=True)
class Question:
    """A verdict to ask for, on turn `turn` (from 1) of an item.

    answers: the run's, one per turn. others: those of the opponent `against`; () where an answer
    is graded by itself. repeat: which of several verdicts. swapped: the others are shown first.
    """

    benchmark: str
    item: Item
    turn: int
    answers: TurnAnswers
    others: TurnAnswers = ()
    against: Opponent = ""
    repeat: int = 0
    swapped: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether the question is a comparison of AlpacaEval, which one token answers."""
        return self.benchmark in LENGTH_CONTROLLED

    @property
    def texts(self) -> tuple[str, ...]:
        """The run's answers up to this turn."""
        return tuple(answer.text for answer in self.answers[: self.turn])

    @property
    def other_texts(self) -> tuple[str, ...]:
        """The opponent's answers up to this turn."""
        return tuple(answer.text for answer in self.others[: self.turn])

    @property
    def shown(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Both sides in the order in which the judge sees them."""
        sides = self.texts, self.other_texts
        return sides[::-1] if self.swapped else sides


def plan_questions(
    answers: Path, against: Path, evals: Path, split: str, judge: JudgeParams
) -> list[Question]:
    """Plan all verdicts on the answers of a run, by benchmark, in the order of the items.

    answers, against: artifacts of the stage answers; they may be the same. Raises MontessoriError
    when items or an answer are missing.
    """
    questions: list[Question] = []
    for name in present_benchmarks(evals, split, OPEN):
        items = read_items(evals, split, name)
        own = _read_answers_to(answers, name, items)
        if name not in PAIRED:
            questions += _grading_questions(name, items, own, judge.repeats)
        if name in PAIRED or judge.pairwise:
            orders = judge.orders if name in PAIRED else "both"
            others = _read_answers_to(against, name, items)
            sides = list(zip(items, own, others, strict=True))
            questions += _comparison_questions(name, sides, "run", orders)
        if name == PUBLIC_ALPACA:
            references = [tuple(map(TurnAnswer, item.responses)) for item in items]
            sides = list(zip(items, own, references, strict=True))
            questions += _comparison_questions(AGAINST_REFERENCE, sides, "reference", judge.orders)
    return questions


def read_answers(folder: Path, benchmark: str) -> Answers:
    """Read the answers of one benchmark by item and turn, from an artifact of the stage answers."""
    table = read_table(Path(folder) / TABLE, ANSWERS).filter(pl.col("benchmark") == benchmark)
    columns = table.select("item_id", "turn", "answer", "tokens", "finished").iter_rows()
    return {(item, turn): TurnAnswer(*rest) for item, turn, *rest in columns}


def _read_answers_to(folder: Path, benchmark: str, items: Sequence[Item]) -> list[TurnAnswers]:
    """The answers to each item. Raises MontessoriError when one is missing."""
    answers = read_answers(folder, benchmark)
    return [_answers_of_item(answers, item, folder) for item in items]


def _answers_of_item(answers: Answers, item: Item, folder: Path) -> TurnAnswers:
    turns = range(1, len(item.turns) + 1)
    for turn in turns:
        if (item.item_id, turn) not in answers:
            raise MontessoriError(
                f"item {item.item_id} has no answer to turn {turn}",
                where=str(folder),
                expected="an answer to every item of the split in params.yaml (benchmark.split)",
                next="dvc repro answers",
            )
    return tuple(answers[item.item_id, turn] for turn in turns)


def _grading_questions(
    benchmark: str, items: Sequence[Item], answers: Sequence[TurnAnswers], repeats: int
) -> Iterator[Question]:
    """Questions that grade each answer by itself, `repeats` times."""
    for item, own in zip(items, answers, strict=True):
        for turn in range(1, len(own) + 1):
            for repeat in range(repeats):
                yield Question(benchmark, item, turn, own, repeat=repeat)


def _comparison_questions(
    benchmark: str,
    sides: Sequence[tuple[Item, TurnAnswers, TurnAnswers]],
    against: Opponent,
    orders: Literal["random", "both"],
) -> Iterator[Question]:
    """Questions that compare each answer with another one, in one order or both.

    sides: each item with the run's answers and those of the opponent.
    """
    for item, own, others in sides:
        for turn in range(1, len(own) + 1):
            question = Question(benchmark, item, turn, own, others, against)
            in_orders = (False, True) if orders == "both" else (shows_other_first(question),)
            for swapped in in_orders:
                yield replace(question, swapped=swapped)


def shows_other_first(question: Question) -> bool:
    """Toss a coin for the two answers, with the same result whichever of them is the run's.

    So two runs that are compared with each other share their verdicts, and pay for them once.
    """
    pair = sorted((question.texts, question.other_texts))  # the same pair from either side
    coin = seed_of(0, "judge order", *question.item.turns, *pair[0], *pair[1]) % 2
    return pair[coin] != question.texts
