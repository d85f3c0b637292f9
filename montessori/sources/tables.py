"""Rows as tables: the schemas ROWS and PROBE of montessori.artifacts.files."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from montessori.artifacts.files import make_table, row_id
from montessori.artifacts.schemas import PROBE, ROWS
from montessori.sources.rows.row import Row

GROUP = 4  # rows to a prompt where a file names no prompts
PROMPT = "Write one new instruction."


def rows_table(rows: Sequence[Row]) -> tuple[pl.DataFrame, int]:
    """A ROWS table without the rows that repeat an earlier one, and how many those were."""
    records: dict[str, dict[str, Any]] = {}
    for row in rows:
        record = _row_record(row)
        records.setdefault(record["row_id"], record)
    return make_table(list(records.values()), ROWS), len(rows) - len(records)


def probe_table(
    rows: Sequence[Row], is_eval_item: Callable[[Row], bool] = lambda row: False
) -> pl.DataFrame:
    """A PROBE table of rows that came from a file.

    Rows with the same `prompt` are samples of one prompt, in the order of its first row. Rows
    without one are taken four at a time, in order, as samples of a plain prompt, so that pairs
    can be formed. Rows without `raw` get their instruction in tags. `response_tokens` is null:
    no teacher counted them. A row that repeats an earlier one is kept out as "duplicate", one that
    is or holds an eval item as "eval item".
    """
    records, seen = [], set()
    for number, (prompt, samples) in enumerate(_number_prompts(rows)):
        prompt_id = row_id("prompt", str(number), prompt)
        for sample, row in enumerate(samples):
            record = _row_record(row)
            reason = _drop_reason(record["row_id"] in seen, row, is_eval_item)
            seen.add(record["row_id"])
            if reason is not None:
                empty = {"messages": [], "instruction": "", "response": "", "dropped": reason}
                # A dropped row needs an id of its own: its text would give that of the row that it
                # repeats.
                record |= empty | {"row_id": row_id(prompt_id, str(sample), record["row_id"])}
            raw = row.raw if row.raw is not None else tag_turns(row.turns)
            record |= {"prompt_id": prompt_id, "sample": sample, "prompt": prompt, "raw": raw}
            records.append(record)
    return make_table(records, PROBE)


def _drop_reason(repeated: bool, row: Row, is_eval_item: Callable[[Row], bool]) -> str | None:
    """Why a row is kept out, or None."""
    if repeated:
        return "duplicate"
    return "eval item" if is_eval_item(row) else None


def tag_turns(turns: Sequence[str]) -> str:
    """User turns as a teacher writes them: the instruction, then each follow-up, in tags."""
    names = ["instruction", *["follow-up"] * (len(turns) - 1)]
    return "\n".join(f"<{name}>{turn}</{name}>" for name, turn in zip(names, turns, strict=True))


def _number_prompts(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    named: dict[str, list[Row]] = {}
    groups: list[tuple[str, list[Row]]] = []
    plain: list[Row] = []
    for row in rows:
        if row.prompt is None:
            # The list in `groups` is the one that is filled below; a full one is followed by a new
            # one.
            if len(plain) % GROUP == 0:
                plain = []
                groups.append((PROMPT, plain))
            plain.append(row)
            continue
        if row.prompt not in named:
            named[row.prompt] = []
            groups.append((row.prompt, named[row.prompt]))
        named[row.prompt].append(row)
    return groups


def _row_record(row: Row) -> dict[str, Any]:
    texts: list[str] = []
    for message in row.messages:
        texts += message.values()
    return {
        "row_id": row_id(*texts),
        "messages": row.messages,
        "instruction": "\n\n".join(row.turns),
        "response": "\n\n".join(row.responses),
        "skill": row.skill,
    }
