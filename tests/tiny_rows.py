"""Tiny tables for tests of training and influence: sums, and words to spell."""

from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import new_folder, row_id, write_table
from montessori.artifacts.schemas import PAIRS, PROBE, ROWS

WORDS = ("house", "tree", "apple", "river", "stone", "bread", "light", "cloud")


def exchange(i: int) -> tuple[str, str, str]:
    """Instruction, response and skill of row `i`."""
    if i % 2:
        word = WORDS[i % len(WORDS)]
        return f"Spell the word {word} with hyphens, {i}.", "-".join(word), "strings"
    return f"What is {i} plus {i + 3}?", f"{i} + {i + 3} = {2 * i + 3}\n#### {2 * i + 3}", "sums"


def row(i: int, salt: str = "") -> dict[str, Any]:
    """A row of the ROWS table; `salt` only changes its id."""
    instruction, response, skill = exchange(i)
    messages = [
        {"role": "user", "content": instruction},
        {"role": "assistant", "content": response},
    ]
    return {
        "row_id": row_id(salt, str(i)),
        "messages": messages,
        "instruction": instruction,
        "response": response,
        "skill": skill,
    }


def probe_frame(prompts: int, samples: int) -> pl.DataFrame:
    """A PROBE table; the second sample of the first prompt is dropped."""
    rows = []
    for i in range(prompts * samples):
        made = row(i)
        prompt = f"Write one new instruction.\n<instruction>Example {i // samples}</instruction>\n"
        made |= {
            "prompt_id": f"p{i // samples:03d}",
            "sample": i % samples,
            "prompt": prompt,
            "raw": f"Idea: {i}.\n<instruction>{made['instruction']}</instruction>",
            "dropped": None,
            "response_tokens": len(made["response"]),
        }
        if i == 1:
            made |= {"dropped": "duplicate", "messages": [], "instruction": "", "response": ""}
        rows.append(made)
    return pl.DataFrame(rows, schema=dict(PROBE))


def write_probe(folder: Path, prompts: int, samples: int) -> Path:
    """A probe folder."""
    with new_folder(folder, {}) as temporary:
        write_table(probe_frame(prompts, samples), temporary / "rows.parquet", PROBE)
    return folder


def write_reference(folder: Path, rows: int) -> Path:
    """A rows folder whose rows are in no probe."""
    frame = pl.DataFrame([row(100 + 7 * i, "reference") for i in range(rows)], schema=dict(ROWS))
    with new_folder(folder, {}) as temporary:
        write_table(frame, temporary / "rows.parquet", ROWS)
    return folder


def pairs_frame(count: int = 8) -> pl.DataFrame:
    """Sums are preferred to spelling."""
    probe = probe_frame(count, 2)
    rows = [
        (
            f"{i:016x}",
            probe["prompt_id"][2 * i],
            probe["prompt"][2 * i],
            probe["raw"][2 * i],
            probe["raw"][2 * i + 1],
            probe["row_id"][2 * i],
            probe["row_id"][2 * i + 1],
            1.0,
            -1.0,
        )
        for i in range(count)
    ]
    return pl.DataFrame(rows, schema=dict(PAIRS), orient="row")


def write_pairs(folder: Path, count: int = 8) -> Path:
    """A pairs folder."""
    with new_folder(folder, {}) as temporary:
        write_table(pairs_frame(count), temporary / "pairs.parquet", PAIRS)
    return folder
