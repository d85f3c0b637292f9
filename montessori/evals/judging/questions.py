"""What a judge is asked: which answers to which item, in which order, how often."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from montessori.errors import MontessoriError
from montessori.evals.items import (
    AGAINST_REFERENCE,
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
class Answered:
    """An answer to one turn: its text, its tokens, and whether the model ended it itself."""

    text: str
    tokens: int = 0
    finished: bool = True

    @property
    def note(self) -> str:
        """What is odd about it; "context": the question left no room for an answer."""
        if not self.finished and self.tokens == 0:
            return "context"
        if not self.text.strip():
            return "empty"
        return "" if self.finished else "truncated"


Answers = Mapping[tuple[str, int], Answered]  # (item, turn) -> answer


@dataclass(frozen=True)
class Question:
    """One verdict that is wanted, on turn `turn` (from 1) of an item.

    answers: the run's, one a turn. others: those of the `against`; () where an answer is graded by
    itself. repeat: which of several verdicts. swapped: the others are shown first.
    """

    benchmark: str
    item: Item
    turn: int
    answers: tuple[Answered, ...]
    others: tuple[Answered, ...] = ()
    against: Opponent = ""
    repeat: int = 0
    swapped: bool = False

    @property
    def is_choice(self) -> bool:
        """Whether it is a comparison of AlpacaEval, which one token answers."""
        return self.benchmark in (*PAIRED, AGAINST_REFERENCE)

    @property
    def texts(self) -> tuple[str, ...]:
        """The run's answers up to this turn."""
        return tuple(answer.text for answer in self.answers[: self.turn])

    @property
    def other_texts(self) -> tuple[str, ...]:
        """The answers up to this turn that they are compared with."""
        return tuple(answer.text for answer in self.others[: self.turn])

    @property
    def shown(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Both sides in the order in which the judge sees them."""
        sides = self.texts, self.other_texts
        return sides[::-1] if self.swapped else sides


def plan_questions(
    answers: Path, against: Path, evals: Path, split: str, judge: JudgeParams
) -> list[Question]:
    """All verdicts on the answers of a run, by benchmark, in the order of the items.

    answers, against: artifacts of the stage answers; they may be the same. Raises MontessoriError
    when items or an answer are missing.
    """
    found: list[Question] = []
    for name in present_benchmarks(evals, split, OPEN):
        items = read_items(evals, split, name)
        ours = _answers_to_items(answers, name, items)
        sides = list(zip(items, ours, strict=True))
        if name not in PAIRED:
            found += _grading_questions(name, sides, judge.repeats)
        if name in PAIRED or judge.pairwise:
            orders = judge.orders if name in PAIRED else "both"
            theirs = _answers_to_items(against, name, items)
            found += _comparison_questions(name, sides, theirs, "run", orders)
        if name == PUBLIC_ALPACA:
            references = [tuple(map(Answered, item.responses)) for item in items]
            found += _comparison_questions(
                AGAINST_REFERENCE, sides, references, "reference", judge.orders
            )
    return found


def read_answers(folder: Path, benchmark: str) -> Answers:
    """The answers of one benchmark by item and turn, from an artifact of the stage answers."""
    import polars as pl

    from montessori.artifacts.files import read_table
    from montessori.artifacts.schemas import ANSWERS

    table = read_table(Path(folder) / TABLE, ANSWERS).filter(pl.col("benchmark") == benchmark)
    columns = table.select("item_id", "turn", "answer", "tokens", "finished").iter_rows()
    return {(item, turn): Answered(*rest) for item, turn, *rest in columns}


def _answers_to_items(
    folder: Path, benchmark: str, items: Sequence[Item]
) -> list[tuple[Answered, ...]]:
    """The answers to each item, one a turn. Raises MontessoriError when one is missing."""
    answers = read_answers(folder, benchmark)
    return [_answers_to_item(answers, item, folder) for item in items]


def _answers_to_item(answers: Answers, item: Item, folder: Path) -> tuple[Answered, ...]:
    turns = range(1, len(item.turns) + 1)
    missing = [turn for turn in turns if (item.item_id, turn) not in answers]
    if missing:
        raise MontessoriError(
            f"item {item.item_id} has no answer to turn {missing[0]}",
            where=str(folder),
            expected="an answer to every item of the split in params.yaml (benchmark.split)",
            next="dvc repro answers",
        )
    return tuple(answers[item.item_id, turn] for turn in turns)


Side = tuple[Item, tuple[Answered, ...]]


def _grading_questions(benchmark: str, sides: Sequence[Side], repeats: int) -> Iterator[Question]:
    for item, ours in sides:
        for turn in range(1, len(ours) + 1):
            for repeat in range(repeats):
                yield Question(benchmark, item, turn, ours, repeat=repeat)


def _comparison_questions(
    benchmark: str,
    sides: Sequence[Side],
    theirs: Sequence[tuple[Answered, ...]],
    against: Opponent,
    orders: Literal["random", "both"],
) -> Iterator[Question]:
    for (item, ours), others in zip(sides, theirs, strict=True):
        for turn in range(1, len(ours) + 1):
            question = Question(benchmark, item, turn, ours, others, against)
            drawn = (False, True) if orders == "both" else (shows_other_first(question),)
            for swapped in drawn:
                yield Question(benchmark, item, turn, ours, others, against, swapped=swapped)


def shows_other_first(question: Question) -> bool:
    """A coin for each pair of answers, which falls alike whichever of the two is the run's.

    So two runs that are compared both ways are shown to the judge once.
    """
    pair = sorted((question.texts, question.other_texts))
    coin = seed_of(0, "judge order", *question.item.turns, *pair[0], *pair[1]) % 2
    return pair[coin] != question.texts
