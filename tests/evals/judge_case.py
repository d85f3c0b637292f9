"""Tiny public benchmarks, answers to them, and a judge behind a real server on loopback."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import read_table, write_table
from montessori.artifacts.schemas import ANSWERS, VERDICTS
from montessori.evals.items import OPEN, present_benchmarks, read_items
from montessori.evals.judging.write_verdicts import JudgeInputs, JudgeResources, write_verdicts
from montessori.evals.settings import BenchmarkParams, JudgeParams
from montessori.models.prepare import prepare_model
from montessori.pipeline.machine import Machine

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT / "montessori" / "templates" / "judge"
MODEL = "big-2026-01-01"
BENCH = BenchmarkParams("dev", 9)
#: Kinds of turns in MT-Bench: categories with and without gold responses.
CATEGORIES = ("writing", "math")


def public_evals(root: Path, items: int = 6) -> Path:
    """alpaca_eval and mt_bench in the project's item format, `items` each, in split dev."""
    alpaca = [
        {
            "item_id": f"alpaca_eval-{n:04d}",
            "family": "helpful_base",
            "turns": [f"Say {n} words."],
            "answers": [""],
            "responses": [f"public {n}"],
        }
        for n in range(items)
    ]
    turns = [
        {
            "item_id": f"mt_bench-{81 + n}",
            "family": CATEGORIES[n % 2],
            "turns": [f"Question {n}?", f"And then {n}?"],
            "answers": ["", ""],
            "responses": [f"gold {n}", f"more gold {n}"] if n % 2 else ["", ""],
        }
        for n in range(items)
    ]
    (root / "dev").mkdir(parents=True)
    for name, rows in (("alpaca_eval", alpaca), ("mt_bench", turns)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / "dev" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return root


Text = Callable[[str, int], str | tuple[str, int, bool]]


def answered(evals: Path, folder: Path, text: Text) -> Path:
    """An answers artifact: `text(item_id, turn)` gives the text, or text, tokens and finished."""
    rows = []
    for name in present_benchmarks(evals, "dev", OPEN):
        for item in read_items(evals, "dev", name):
            for turn, prompt in enumerate(item.turns, 1):
                said = text(item.item_id, turn)
                said = (said, 3, True) if isinstance(said, str) else said
                rows.append((item.item_id, name, turn, prompt, *said))
    write_table(
        pl.DataFrame(rows, schema=ANSWERS, orient="row"), folder / "answers.parquet", ANSWERS
    )
    return folder


def hosted(folder: Path, url: str, model: str = MODEL, **more: Any) -> Path:
    """The folder that the stage models makes of a hosted judge."""
    prices = {"input": 10.0, "output": 30.0}
    row = {"server": url, "model": model, "key_env": "", "usd_per_million": prices, **more}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judge.json").write_text(json.dumps(row))
    prepare_model(folder / "judge.json", folder / "none", folder / "judge")
    return folder / "judge"


def judged(
    root: Path,
    evals: Path,
    model: Path,
    ours: Path,
    theirs: Path,
    name: str = "run",
    machine: Mapping[str, Any] | None = None,
    prompts: Path = PROMPTS,
    **settings: Any,
) -> pl.DataFrame:
    """Run the stage's function; the table that it wrote to <root>/verdicts/<name>."""
    inputs = JudgeInputs(ours, theirs, evals, model, prompts)
    made = Machine(**{"server_requests": 8, "server_retries": 3, **(machine or {})})
    means = JudgeResources(made, {}.get, root / "work" / f"{name}.answers.jsonl")
    out = root / "verdicts" / name
    params = JudgeParams("", "", **settings)
    write_verdicts(inputs, out, params, BENCH, means)
    return read_table(out / "verdicts.parquet", VERDICTS)


def rows_of(table: pl.DataFrame, benchmark: str, against: str | None = None) -> pl.DataFrame:
    """The rows of one benchmark, and of one opponent."""
    found = table.filter(pl.col("benchmark") == benchmark)
    return found if against is None else found.filter(pl.col("against") == against)


def choice_of(turns: Sequence[str]) -> bool:
    """Whether a prompt asks for m or M."""
    return "m or M" in turns[-1]
