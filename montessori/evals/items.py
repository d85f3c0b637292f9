"""The items of the benchmarks: one JSON object per line in <evals>/<split>/<benchmark>.jsonl."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from montessori.errors import MontessoriError

MMLU, GSM8K = "micro_mmlu", "micro_gsm8k"
ALPACA, MT_BENCH = "micro_alpaca_eval", "micro_mt_bench"
PUBLIC_ALPACA, PUBLIC_MT_BENCH = "alpaca_eval", "mt_bench"
#: Answers to PUBLIC_ALPACA judged against its public reference outputs. It has no file of its own.
AGAINST_REFERENCE = "alpaca_eval_public"
#: The loss on held-out rows, which are a split of their own: <evals>/heldout/heldout.jsonl.
HELDOUT = "heldout"
#: The lab's benchmarks, in the order of tables.
BENCHMARKS = (ALPACA, MT_BENCH, MMLU, GSM8K)
#: Every benchmark that a run may have outcomes of, in the order of tables.
ORDER = (*BENCHMARKS, PUBLIC_ALPACA, AGAINST_REFERENCE, PUBLIC_MT_BENCH, HELDOUT)
#: Open benchmarks: the model answers in its own words, and a judge scores the answers.
OPEN = (ALPACA, MT_BENCH, PUBLIC_ALPACA, PUBLIC_MT_BENCH)
#: Open benchmarks whose answers are compared with those of another run.
PAIRED = (ALPACA, PUBLIC_ALPACA)
#: Closed benchmarks, which lm-eval asks and scores.
CLOSED = (MMLU, GSM8K)
#: Benchmarks whose metric is a length-controlled win rate. The metric of all others is a mean.
LENGTH_CONTROLLED = (*PAIRED, AGAINST_REFERENCE)
#: Benchmarks scored from 1 to 10 in metrics/eval; their outcomes are on 0-100.
ONE_TO_TEN = (MT_BENCH, PUBLIC_MT_BENCH)
#: Benchmarks that are scored twice, by the metric that is the second score: the mean counts their
#: metrics as one.
SECOND_SCORES = {AGAINST_REFERENCE: PUBLIC_ALPACA}
#: Folders below metrics/outcomes with the outcomes of `harnesses` and `exams` rows.
HARNESS, EXAM = "harness", "exam"

_LISTS = ("turns", "answers", "responses")
_TEXTS = ("item_id", "family")


@dataclass(frozen=True)
class Item:
    """One eval item: the questions of its turns, and the right answers as far as they are known.

    key: content of a lab task, "" for public items. answers: short form of the right answer to
    each turn. responses: the right answer to each turn in full; for alpaca_eval the output of the
    public reference. choices, gold: options of a multiple-choice item without their letters, and
    the index of the right one; empty and None for other items. difficulty: how hard the
    instruction is, a term of AlpacaEval's length control. system: the system prompt of a held-out
    row, "" without one.
    """

    item_id: str
    family: str
    skill: str
    key: str
    turns: tuple[str, ...]
    answers: tuple[str, ...]
    responses: tuple[str, ...]
    choices: tuple[str, ...] = ()
    gold: int | None = None
    difficulty: float | None = None
    system: str = ""


def gamed_path(evals: Path, split: str) -> Path:
    """Path of AlpacaEval's table of gamed answers beside its items; it need not be there."""
    return Path(evals) / split / f"{PUBLIC_ALPACA}_gamed.csv"


def items_path(evals: Path, split: str, benchmark: str) -> Path:
    """Path of a benchmark's items below the folder of all eval sets."""
    return Path(evals) / split / f"{benchmark}.jsonl"


def present_benchmarks(evals: Path, split: str, names: Sequence[str]) -> tuple[str, ...]:
    """The benchmarks among `names` that have items in this split, in the given order.

    Raises MontessoriError when the split has no items of any benchmark, listed or not.
    """
    if not any(items_path(evals, split, name).is_file() for name in (*OPEN, *CLOSED)):
        raise _item_error("there are no items of any benchmark", str(Path(evals) / split))
    return tuple(name for name in names if items_path(evals, split, name).is_file())


def read_items(evals: Path, split: str, benchmark: str) -> list[Item]:
    """Read the items of one benchmark, in the order of its file.

    Raises MontessoriError, with file and line, when the file is missing or empty, a line is not
    an item, or an id occurs twice.
    """
    path = items_path(evals, split, benchmark)
    if not path.is_file():
        raise _item_error("the items of a benchmark are missing", str(path))
    items: dict[str, Item] = {}
    with open(path, encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            item = _parse_item(line, f"{path}:{number}", benchmark)
            if item.item_id in items:
                raise _item_error(f"item {item.item_id} occurs twice", f"{path}:{number}")
            items[item.item_id] = item
    if not items:
        raise _item_error("the benchmark has no items", str(path))
    return list(items.values())


def _parse_item(line: str, where: str, benchmark: str) -> Item:
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise _item_error(f"not a JSON object ({error})", where) from error
    problems = _item_problems(raw, benchmark)
    if problems:
        raise _item_error("not an item: " + "; ".join(problems), where)
    return Item(
        item_id=raw["item_id"],
        family=raw["family"],
        skill=raw.get("skill") or "",
        key=raw.get("key") or "",
        turns=tuple(raw["turns"]),
        answers=tuple(raw["answers"]),
        responses=tuple(raw["responses"]),
        choices=tuple(raw.get("choices", ())),
        gold=raw.get("gold"),
        difficulty=raw.get("difficulty"),
        system=raw.get("system") or "",
    )


def _item_problems(raw: Any, benchmark: str) -> list[str]:
    if not isinstance(raw, Mapping):
        return ["not a mapping"]
    problems = []
    for name in _TEXTS:
        if not isinstance(raw.get(name), str):
            problems.append(f"{name!r} is not a text")
    for name in ("key", "system"):
        if not isinstance(raw.get(name, ""), str):
            problems.append(f"{name!r} is not a text")
    for name in _LISTS:
        if not _is_text_list(raw.get(name)):
            problems.append(f"{name!r} is not a list of texts")
    if not problems and not len(raw["turns"]) == len(raw["answers"]) == len(raw["responses"]):
        problems.append("turns, answers and responses differ in number")
    if not isinstance(raw.get("difficulty", 0.0), int | float | None):
        problems.append("'difficulty' is not a number")
    if benchmark == MMLU and not _is_multiple_choice(raw):
        problems.append("'choices' and 'gold' (an index into them) are needed")
    return problems


def _is_text_list(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) for text in value)


def _is_multiple_choice(raw: Mapping[str, Any]) -> bool:
    choices, gold = raw.get("choices"), raw.get("gold")
    return _is_text_list(choices) and isinstance(gold, int) and 0 <= gold < len(choices)


def _item_error(what: str, where: str) -> MontessoriError:
    return MontessoriError(
        what,
        where=where,
        expected='{"item_id", "family", "turns", "answers", "responses", ...} per line',
        next="fix the source named by sources.evals, then run `dvc repro seed`",
    )


def group_by_benchmark(names: Sequence[str]) -> list[list[str]]:
    """Metrics by the benchmark that they score, so that each benchmark has one weight in a mean."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(SECOND_SCORES.get(name, name), []).append(name)
    return list(groups.values())


def heldout_part(skill: str) -> str:
    """Name of the held-out rows of one skill, such as "heldout: units"."""
    return f"{HELDOUT}: {skill}"


def is_heldout_part(benchmark: str) -> bool:
    """Whether a benchmark is the held-out rows of one skill."""
    return benchmark.startswith(f"{HELDOUT}: ")


def is_loss(benchmark: str) -> bool:
    """Whether a metric is a loss in nats per token: lower is better, and it is not on 0-100."""
    return benchmark == HELDOUT or is_heldout_part(benchmark)


def exam_name(tasks: str) -> str:
    """Name of a task set's exam as a benchmark, such as "exam lab"."""
    return f"{EXAM} {tasks}"


def is_exam(benchmark: str) -> bool:
    """Whether a benchmark is the exam of a task set."""
    return benchmark.startswith(f"{EXAM} ")
