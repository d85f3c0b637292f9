"""Verdicts on answers to the open benchmarks, kept raw for everything computed later.

micro_alpaca_eval: each answer against another run's on the same item; the better one wins, and
equal quality is a tie (0.5), so a run against itself scores 0.5 on every item.
micro_mt_bench: each turn from 1 to 10.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from montessori.errors import MontessoriError
from montessori.evals.items import ALPACA, MT_BENCH, Item, read_items
from montessori.evals.mt_bench import score_of
from montessori.evals.settings import BenchmarkParams, JudgeParams

if TYPE_CHECKING:
    import polars as pl

TABLE = "answers.parquet"
Answers = Mapping[tuple[str, int], tuple[str, bool]]  # (item, turn) -> text, finished


@dataclass(frozen=True)
class Opinion:
    """What a judge thinks of one answer: quality in [0, 1], and whether it is right."""

    quality: float
    correct: bool


class Judge(Protocol):
    """Anything that can judge the answers to one item."""

    name: str

    def opinions(self, item: Item, answers: Sequence[str]) -> list[Opinion]:
        """One opinion per turn; `answers` has one text per turn."""


class Grader:
    """The lab's checker as a judge: every item has one right answer, and part credit is fixed."""

    name = "grader"

    def opinions(self, item: Item, answers: Sequence[str]) -> list[Opinion]:
        """One opinion per turn, each turn graded by itself against its own gold answer."""
        from montessori.micro.grader import grade
        from montessori.micro.task import Task, Turn

        found = []
        gold = zip(item.turns, item.responses, item.answers, strict=True)
        for turn, answer in zip(gold, answers, strict=True):
            task = Task(item.family, item.key, (Turn(*turn),), item.choices)
            graded = grade(task, [answer])
            found.append(Opinion(float(graded.quality), bool(graded.correct[0])))
        return found


def make_judge(params: JudgeParams) -> Judge:
    """The judge that params name."""
    return {"grader": Grader}[params.kind]()


def write_verdicts(
    answers: Path, against: Path, evals: Path, out: Path, judge: JudgeParams, bench: BenchmarkParams
) -> None:
    """Judge the answers of a run, and against those of another run, into `out`.

    answers, against: artifacts of the stage answers; they may be the same. Writes
    verdicts.parquet (schema VERDICTS, in the order of the items). Raises MontessoriError when an
    answer is missing.
    """
    from montessori.artifacts import VERDICTS, new_folder, write_table

    inputs = {"answers": answers, "against": against, "evals": Path(evals) / bench.split}
    with new_folder(out, inputs, {"judge": judge.kind, "split": bench.split}, ()) as folder:
        table = verdicts(answers, against, evals, make_judge(judge), bench.split)
        write_table(table, folder / "verdicts.parquet", VERDICTS)


def verdicts(answers: Path, against: Path, evals: Path, judge: Judge, split: str) -> "pl.DataFrame":
    """The verdict table (schema VERDICTS) that `write_verdicts` writes."""
    import polars as pl

    from montessori.artifacts import VERDICTS

    rows = []
    ours, theirs = read_answers(answers, ALPACA), read_answers(against, ALPACA)
    for item in read_items(evals, split, ALPACA):
        rows.append(_compared(item, judge, _texts(ours, item, answers), ours,
                              _texts(theirs, item, against)))  # fmt: skip
    ours = read_answers(answers, MT_BENCH)
    for item in read_items(evals, split, MT_BENCH):
        rows += _scored(item, judge, _texts(ours, item, answers), ours)
    return pl.DataFrame(rows, schema=VERDICTS)


def read_answers(folder: Path, benchmark: str) -> Answers:
    """The answers of one benchmark by item and turn, from an artifact of the stage answers."""
    import polars as pl

    from montessori.artifacts import ANSWERS, read_table

    table = read_table(Path(folder) / TABLE, ANSWERS).filter(pl.col("benchmark") == benchmark)
    columns = table.select("item_id", "turn", "answer", "finished").iter_rows()
    return {(item, turn): (text, finished) for item, turn, text, finished in columns}


def _texts(answers: Answers, item: Item, folder: Path) -> list[str]:
    turns = range(1, len(item.turns) + 1)
    missing = [turn for turn in turns if (item.item_id, turn) not in answers]
    if missing:
        raise MontessoriError(
            f"item {item.item_id} has no answer to turn {missing[0]}",
            where=str(folder),
            expected="an answer to every item of the split in params.yaml (benchmark.split)",
            next="dvc repro answers",
        )
    return [answers[item.item_id, turn][0] for turn in turns]


def _compared(
    item: Item, judge: Judge, texts: list[str], answers: Answers, others: list[str]
) -> dict:
    opinion = judge.opinions(item, texts)[0]
    other = judge.opinions(item, others)[0]
    return {
        **_verdict(item, ALPACA, 1, judge, opinion, answers),
        "preference": preference(opinion.quality, other.quality),
        "against_length": len(others[0]),
    }


def preference(quality: float, against: float) -> float:
    """1 where quality is higher than the other's, 0 where lower, 0.5 where equal."""
    return 0.5 if quality == against else float(quality > against)


def _scored(item: Item, judge: Judge, texts: list[str], answers: Answers) -> list[dict]:
    return [
        {**_verdict(item, MT_BENCH, turn, judge, opinion, answers),
         "score": score_of(opinion.quality)}
        for turn, opinion in enumerate(judge.opinions(item, texts), 1)
    ]  # fmt: skip


def _verdict(
    item: Item, benchmark: str, turn: int, judge: Judge, opinion: Opinion, answers: Answers
) -> dict:
    text, finished = answers[item.item_id, turn]
    return {
        "item_id": item.item_id,
        "benchmark": benchmark,
        "turn": turn,
        "judge": judge.name,
        "preference": None,
        "score": None,
        "correct": opinion.correct,
        "length": len(text),
        "against_length": None,
        "note": "empty" if not text.strip() else "" if finished else "truncated",
    }
