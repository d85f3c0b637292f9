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
#: The items of PUBLIC_ALPACA against their public reference outputs: no file of its own.
AGAINST_REFERENCE = "alpaca_eval_public"
#: The lab's benchmarks, in the order of tables.
BENCHMARKS = (ALPACA, MT_BENCH, MMLU, GSM8K)
#: All that a run may have outcomes of, in the order of tables.
ORDER = (*BENCHMARKS, PUBLIC_ALPACA, AGAINST_REFERENCE, PUBLIC_MT_BENCH)
#: Files of items that a model answers in its own words and a judge scores.
OPEN = (ALPACA, MT_BENCH, PUBLIC_ALPACA, PUBLIC_MT_BENCH)
#: Those of them that are judged in pairs, against another answer.
PAIRED = (ALPACA, PUBLIC_ALPACA)
#: Files of items that lm-eval asks.
CLOSED = (MMLU, GSM8K)

_LISTS = ("turns", "answers", "responses")
_TEXTS = ("item_id", "family")


@dataclass(frozen=True)
class Item:
    """One item: what is asked, turn by turn, and what is right, as far as that is known.

    key: content of a lab task, "" for public items. answers: canonical short answer of each turn.
    responses: gold text of each turn (of alpaca_eval: the public reference's output). choices and
    gold: the texts of the options without their letters, and the index of the right one; empty and
    None for items that are no multiple choice. difficulty: of AlpacaEval's length control.
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


def items_path(evals: Path, split: str, benchmark: str) -> Path:
    """The file of a benchmark's items below the folder of all eval sets."""
    return Path(evals) / split / f"{benchmark}.jsonl"


def present_benchmarks(evals: Path, split: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of some benchmarks whose items are there, in the given order.

    Raises MontessoriError when the split has items of no benchmark at all.
    """
    if not any(items_path(evals, split, name).is_file() for name in (*OPEN, *CLOSED)):
        raise _item_error("there are no items of any benchmark", str(Path(evals) / split))
    return tuple(name for name in names if items_path(evals, split, name).is_file())


def read_items(evals: Path, split: str, benchmark: str) -> list[Item]:
    """The items of one benchmark, in the file's order.

    Raises MontessoriError, with file and line, when the file is missing or empty, a line is no
    item, or an id occurs twice.
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
    )


def _item_problems(raw: Any, benchmark: str) -> list[str]:
    if not isinstance(raw, Mapping):
        return ["not a mapping"]
    problems = [f"{name!r} is no text" for name in _TEXTS if not isinstance(raw.get(name), str)]
    if not isinstance(raw.get("key", ""), str):
        problems.append("'key' is no text")
    problems += [
        f"{name!r} is no list of texts" for name in _LISTS if not _is_text_list(raw.get(name))
    ]
    if not problems and len({len(raw[name]) for name in _LISTS}) > 1:
        problems.append("turns, answers and responses differ in number")
    if not isinstance(raw.get("difficulty", 0.0), int | float | None):
        problems.append("'difficulty' is no number")
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


HARNESS, EXAM = "harness", "exam"  # folders of the outcomes of these rows, below that of the runs


def exam_name(tasks: str) -> str:
    """What the exam of tasks is called as a benchmark."""
    return f"{EXAM} {tasks}"


def is_exam(benchmark: str) -> bool:
    """Whether a benchmark is the exam of tasks."""
    return benchmark.startswith(f"{EXAM} ")
