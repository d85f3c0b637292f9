"""The page: what it says, what it leaves out, that it needs nothing else."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from montessori.report.build import build
from montessori.report.comparison import lead

METRICS = ("mean", "micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k")
EVIL = "<img src=x onerror=alert(1)>"


def entry(value: float, delta: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "delta": delta, "low": low, "high": high}


COMPARISON = {
    "over": "items",
    "runs": {
        "self-instruct": {name: entry(50.0, 0.0, 0.0, 0.0) for name in METRICS},
        "montessori-1": {name: entry(55.0, 5.0, 2.0, 8.0) for name in METRICS},
        "montessori-2": {name: entry(51.0, 1.0, -2.0, 4.0) for name in METRICS},
    },
}
RUNS = list(COMPARISON["runs"])


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    root = tmp_path / "metrics"
    texts = {
        "plots/influence/montessori-1.csv": "influence,rows,sign\n-1,3,negative\n2,9,positive\n",
        "plots/synth/self-instruct.csv": f"skill,rows\nunits,40\n{EVIL},2\n",
        "plots/synth/montessori-1.csv": "skill,rows\nstories,50\nunits,10\n",
        "plots/teacher-dpo/montessori-1.csv": "step,loss,learning_rate\n1,0.69,1e-5\n2,nan,1e-5\n",
        "plots/student-sft/montessori-1.csv": "step,loss,learning_rate\n1,2.5,1e-3\n2,1.5,1e-3\n",
        "synth/montessori-1.json": json.dumps({"rows": 60, "by": {EVIL: 0.123456}}),
        "runtime/probe/montessori-1.json": json.dumps({"seconds": 12.5, "peak_memory_mib": 812}),
        "runtime/broken/x.json": "{",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def page(out: Path) -> str:
    return (out / "index.html").read_text()


def test_page_shows_every_part(metrics: Path, tmp_path: Path) -> None:
    build(tmp_path / "report", COMPARISON, RUNS, metrics)
    text = page(tmp_path / "report")
    assert text.count("<svg") == 6  # two of the comparison, influence, families, DPO, SFT
    assert "+5.0 (+2.0 to +8.0)" in text
    assert "probe@montessori-1" in text
    assert "0.1235" in text
    assert "Nothing to show" not in text


def test_page_is_self_contained_and_escaped(metrics: Path, tmp_path: Path) -> None:
    build(tmp_path / "report", COMPARISON, RUNS, metrics)
    text = page(tmp_path / "report")
    assert EVIL not in text
    assert "&lt;img" in text
    assert not re.search(r"<(script|link|iframe|img|object)|@import|url\(|https?://", text)
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []


class _Balance(HTMLParser):
    """Every tag that opens is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_missing_pieces_are_left_out_with_a_line(tmp_path: Path) -> None:
    build(tmp_path / "report", {}, RUNS, tmp_path / "nowhere", tmp_path / "nodata")
    assert page(tmp_path / "report").count("Nothing to show") == 7


def test_samples_are_shown_side_by_side(metrics: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for run in RUNS:
        (data / "answers" / run).mkdir(parents=True)
        rows = {"item_id": ["i"], "turn": [1], "prompt": ["2 + 2?"], "answer": [f"{run} {EVIL}"]}
        pl.DataFrame(rows).write_parquet(data / "answers" / run / "answers.parquet")
    (data / "datasets" / "montessori-1").mkdir(parents=True)
    rows = {"instruction": ["Add 1\nand 2."], "response": ["3"], "skill": [None]}
    frame = pl.DataFrame(rows, schema_overrides={"skill": pl.String})
    frame.write_parquet(data / "datasets" / "montessori-1" / "rows.parquet")
    build(tmp_path / "report", COMPARISON, RUNS, metrics, data)
    text = page(tmp_path / "report")
    assert "Add 1\nand 2." in text
    assert all(f"{run} &lt;img" in text for run in RUNS)


def test_runs_are_in_the_order_given_and_equal_builds_are_equal(
    metrics: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, COMPARISON, RUNS, metrics)
    assert page(tmp_path / "a") == page(tmp_path / "b")
    assert page(tmp_path / "a").index(">self-instruct<") < page(tmp_path / "a").index(
        ">montessori-1<"
    )


def test_lead_says_what_the_intervals_say() -> None:
    text = lead(COMPARISON, RUNS)
    assert "montessori-1 is above self-instruct on the mean (+5.0; +2.0 to +8.0)." in text
    assert "montessori-2 is not distinguishable from self-instruct" in text
