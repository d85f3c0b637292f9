"""Answers of two runs to the same items, with the judge's verdicts, as data of a page."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import read_table
from montessori.errors import MontessoriError

LONGEST = 20_000  # characters of a text on the page; what is longer ends with a note
#: Control characters, which are shown by their number: C0 and C1 (not tab and line feed), line
#: and paragraph separators, what turns the direction of writing, invisible tags. Marks that are
#: part of Arabic, Hebrew or Thai writing stay, as in `errors.escape_row`.
HIDDEN = (
    *range(0x09),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2061, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
VISIBLE = {code: f"\u27e8U+{code:04X}\u27e9" for code in HIDDEN}
SCALE = 9.0  # from the lowest to the highest score of a two-turn item
KEYS = ["item_id", "benchmark", "turn"]
#: Columns of verdicts that a judge may have: what the answer was compared with, why the verdict
#: cannot be used, and what the judge wrote.
FURTHER = ["against", "problem", "raw"]
REFERENCE = "reference"  # a public answer: not the other run's

Item = dict[str, Any]  # see `compare_items`
Facts = Mapping[str, Mapping[str, Any]]  # what the eval sets say of an item, by its id


@dataclass(frozen=True)
class Side:
    """A run's answers (keys, prompt, answer, note) and the verdicts on them (keys, preference,
    score, judged, said)."""

    answers: pl.DataFrame
    verdicts: pl.DataFrame


def read_side(answers: Path, verdicts: Path) -> Side:
    """A run's side. Several verdicts on one answer become one: their means, as in the metrics.

    Verdicts against a public reference are dropped. Raises MontessoriError when a table is
    missing or lacks a column.
    """
    found = _read_columns(Path(answers) / "answers.parquet", *KEYS, "prompt", "answer", "finished")
    empty, cut = pl.col("answer").str.strip_chars() == "", ~pl.col("finished")
    note = pl.when(empty).then(pl.lit("empty")).when(cut).then(pl.lit("truncated"))
    written = found.with_columns(note.otherwise(pl.lit("")).alias("note"))
    judged = _read_columns(
        Path(verdicts) / "verdicts.parquet", *KEYS, "preference", "score", "note"
    )
    return Side(written, _average_verdicts(judged))


def _read_columns(path: Path, *names: str) -> pl.DataFrame:
    table = read_table(path, None)
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise MontessoriError(
            f"the table has no {', '.join(missing)}",
            where=str(path),
            expected="an output of the stages answers and judge",
            next="dvc repro outputs",
        )
    return table.select(*names, *(name for name in FURTHER if name in table.columns))


def _average_verdicts(judged: pl.DataFrame) -> pl.DataFrame:
    """Average the verdicts on each item and turn, in the order of the first one."""
    absent = [pl.lit("").alias(name) for name in FURTHER if name not in judged.columns]
    judged = judged.with_columns(absent).with_columns(pl.col(*FURTHER, "note").fill_null(""))
    judged = judged.filter(pl.col("against") != REFERENCE)
    notes = pl.col("note").append(pl.col("problem"))
    return judged.group_by(KEYS, maintain_order=True).agg(
        pl.col("preference").mean(),
        pl.col("score").mean(),
        notes.filter(notes != "").unique(maintain_order=True).str.join(", ").alias("judged"),
        pl.col("raw").filter(pl.col("raw") != "").str.join("\n\n---\n\n").alias("said"),
    )


def read_facts(evals: Path) -> dict[str, dict[str, Any]]:
    """Family and gold responses of every item below the folder of eval sets, by id.

    Items of public benchmarks may have neither. Raises MontessoriError for a line that is no JSON
    object.
    """
    facts = {}
    for path in sorted(Path(evals).rglob("*.jsonl")):
        with open(path, encoding="utf-8") as handle:
            for number, line in enumerate(handle, 1):
                item = _parse_line(line, f"{path}:{number}")
                gold = item.get("responses")
                facts[str(item.get("item_id"))] = {
                    "family": str(item.get("family") or item.get("category") or ""),
                    "gold": gold if isinstance(gold, list) else [],
                }
    return facts


def _parse_line(line: str, where: str) -> dict[str, Any]:
    try:
        item = json.loads(line)
    except ValueError:
        item = None
    if isinstance(item, dict):
        return item
    raise MontessoriError(
        "not an eval item", where=where, expected="a JSON object", next="dvc repro seed"
    )


def compare_items(ours: Side, theirs: Side, facts: Facts) -> list[Item]:
    """One mapping for each item that `ours` answered, in the order of its answers.

    {"id", "benchmark", "family", "turns": [{"prompt", "gold", "said": the judge's words, "ours",
    "theirs": {"text", "note", "score"}}], "preference", "outcome", "lead", "disagreement"}. Texts
    are as `show_text` returns them. A preference is the probability that ours is better, averaged
    over turns; disagreement lies in [0, 1] (see `judge_outcome`).
    """
    other = theirs.answers.select(*KEYS, pl.col("answer", "note").name.prefix("their_"))
    others = theirs.verdicts.select(*KEYS, pl.col("score", "judged").name.prefix("their_"))
    # A join need not keep the order of the rows, so the place is kept to sort by.
    table = ours.answers.with_row_index("place")
    for more in (other, ours.verdicts, others):
        table = table.join(more, on=KEYS, how="left")
    return list(_items_of(table.sort("place"), facts))


def _items_of(table: pl.DataFrame, facts: Facts) -> Iterator[Item]:
    rows = table.partition_by(["benchmark", "item_id"], maintain_order=True)
    for part in rows:
        turns = sorted(part.to_dicts(), key=lambda row: row["turn"])
        fact = facts.get(turns[0]["item_id"], {})
        preferences = [row["preference"] for row in turns if row["preference"] is not None]
        preference = sum(preferences) / len(preferences) if preferences else None
        yield {
            "id": show_text(turns[0]["item_id"]),
            "benchmark": show_text(turns[0]["benchmark"]),
            "family": show_text(fact.get("family", "")),
            "turns": [_turn_data(row, fact.get("gold", [])) for row in turns],
            "preference": _round_number(preference),
            **judge_outcome(preference, [(row["score"], row["their_score"]) for row in turns]),
        }


def _turn_data(row: Mapping[str, Any], gold: list[str]) -> dict[str, Any]:
    place = row["turn"] - 1
    return {
        "prompt": show_text(row["prompt"]),
        "gold": show_text(gold[place]) if 0 <= place < len(gold) and gold[place] else None,
        "said": show_text(row["said"]) if row["said"] else None,
        "ours": _answer_data(row["answer"], row["judged"] or row["note"], row["score"]),
        "theirs": _answer_data(
            row["their_answer"], row["their_judged"] or row["their_note"], row["their_score"]
        ),
    }


def _answer_data(text: str | None, note: str | None, score: float | None) -> dict[str, Any]:
    if text is None:
        return {"text": None, "note": "no answer", "score": None}
    return {"text": show_text(text), "note": show_text(note or ""), "score": _round_number(score)}


def judge_outcome(
    preference: float | None, scores: list[tuple[float | None, float | None]]
) -> dict[str, Any]:
    """Outcome ("won", "lost", "tied", "not judged") of an item, and how far the two are apart.

    With scores from 1 to 10 of all turns of both runs the distance is the difference of their
    means over 9, else with a preference |preference - 0.5| x 2; both lie in [0, 1].
    """
    if scores and all(ours is not None and theirs is not None for ours, theirs in scores):
        lead = sum((ours or 0.0) - (theirs or 0.0) for ours, theirs in scores) / len(scores) / SCALE
    elif preference is not None:
        lead = (preference - 0.5) * 2.0
    else:
        return {"outcome": "not judged", "lead": None, "disagreement": 0.0}
    # Equal means may differ in their last bits after the division.
    outcome = "tied" if abs(lead) < 1e-9 else "won" if lead > 0 else "lost"
    return {
        "outcome": outcome,
        "lead": _round_number(lead),
        "disagreement": _round_number(abs(lead)),
    }


def show_text(text: str) -> str:
    """Prepare a text for the page: hidden characters by number, a very long text cut off."""
    rest = len(text) - LONGEST
    if rest > 0:
        text = f"{text[:LONGEST]}\u2026 ({rest:,} more characters)"
    # A carriage return is a hidden character too, but not as part of a Windows line end.
    return text.replace("\r\n", "\n").translate(VISIBLE)


def _round_number(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
