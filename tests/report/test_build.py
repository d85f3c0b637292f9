"""The report: what it says, what it leaves out, that it needs nothing else.

What would break: the page lacks a part without a word, loads something from the network, or differs
between two equal builds.
"""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from montessori.graph.stages import read_graph
from montessori.report.build import OTHER_FOLDERS, build_report
from montessori.report.comparison import lead_sentences

METRICS = ("mean", "micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k")
EVIL = "<img src=x onerror=alert(1)>"
EVIL_BENCHMARK = "</td><script>alert(1)</script>"


def entry(delta: float, p_holm: float | None = None) -> dict[str, float]:
    numbers = {"value": 50.0 + delta, "delta": delta, "low": delta - 3, "high": delta + 3}
    return numbers if p_holm is None else numbers | {"p": p_holm / 2, "p_holm": p_holm}


COMPARISON = {
    "over": "items",
    "baseline": "self-instruct",
    "confidence": 0.95,
    "resamples": 2000,
    "comparisons": 11,
    "benchmarks": {
        name: {"items": 9, "left_out": 0, "metric": "mean", "in_mean": True, "missing_in": ""}
        for name in METRICS[1:]
    }
    | {
        EVIL_BENCHMARK: {
            "items": 9,
            "left_out": 0,
            "metric": "mean",
            "in_mean": False,
            "missing_in": "montessori-2",
        }
    },
    "runs": {
        "self-instruct": {name: entry(0.0) for name in (*METRICS, EVIL_BENCHMARK)},
        "montessori-1": {name: entry(5.0, 0.01) for name in (*METRICS, EVIL_BENCHMARK)},
        "montessori-2": {name: entry(4.0, 0.06) for name in METRICS},
    },
    "decontamination": {
        "items": {"dev": 20, "test": 30},
        "sources": {"overlaps": 0, "rows": {"seeds": 300}},
        "written": {"self-instruct": {"samples": 2200, "eval_items": 7}},
        "learned": {"self-instruct": {"rows": 2000, "eval_items": 0}},
        "probed": {EVIL: {"rows": 982, "eval_items": 31}},
    },
}
PAGES = {run: f"outputs/{run}.html" for run in COMPARISON["runs"]}
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
    return out.read_text()


def test_page_shows_every_part(metrics: Path, tmp_path: Path) -> None:
    build_report(tmp_path / "index.html", COMPARISON, RUNS, metrics, pages=PAGES)
    text = page(tmp_path / "index.html")
    assert text.count("<svg") == 6  # two of the comparison, influence, families, DPO, SFT
    assert "+5.0 (+2.0 to +8.0)*" in text
    assert "p 0.005, corrected 0.01" in text
    assert "+4.0 (+1.0 to +7.0)<" in text  # the interval excludes zero, the corrected p does not
    assert "self-instruct (baseline)" in text
    assert "no outcomes of montessori-2" in text
    assert '<a href="outputs/montessori-1.html">montessori-1</a>' in text
    for cells in ("<td>2,200</td><td>7</td>", "<td>982</td><td>31</td>", "20 dev, 30 test"):
        assert cells in text
    assert "probe@montessori-1" in text
    assert "0.1235" in text
    assert "Nothing to show" not in text


def test_a_run_that_is_compared_with_another_run_than_the_baseline_says_so(
    metrics: Path, tmp_path: Path
) -> None:
    build_report(tmp_path / "plain.html", COMPARISON, RUNS, metrics)
    assert "\u2020" not in page(tmp_path / "plain.html")
    runs = COMPARISON["runs"] | {
        "self-instruct-to-2": COMPARISON["runs"]["self-instruct"],
        "montessori-1-to-2": COMPARISON["runs"]["montessori-1"],
    }
    against = dict.fromkeys(RUNS, "self-instruct")
    against |= dict.fromkeys(list(runs)[3:], "self-instruct-to-2")
    found = COMPARISON | {"runs": runs, "against": against}
    build_report(tmp_path / "index.html", found, list(runs), metrics)
    text = page(tmp_path / "index.html")
    assert ">montessori-1-to-2 (against self-instruct-to-2)<" in text
    assert "montessori-1-to-2 beats self-instruct-to-2 on " in text
    assert ">montessori-1-to-2 \u2020</text>" in text  # in the chart
    assert "In the chart \u2020 marks differences to the run that the table names." in text
    assert ">self-instruct-to-2 \u2020</text>" not in text


def test_page_is_self_contained_and_escaped(metrics: Path, tmp_path: Path) -> None:
    build_report(tmp_path / "index.html", COMPARISON, RUNS, metrics, pages=PAGES)
    text = page(tmp_path / "index.html")
    assert EVIL not in text
    assert EVIL_BENCHMARK not in text
    assert text.count("&lt;/td&gt;&lt;script&gt;") >= 2  # in the table's head, in a note
    assert "&lt;img" in text
    assert "Content-Security-Policy\" content=\"default-src 'none'; style-src" in text
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


def test_more_metrics_than_colours_are_several_charts(metrics: Path, tmp_path: Path) -> None:
    runs = {
        run: {f"task {n}": entry(0.0) for n in range(12)} | row
        for run, row in COMPARISON["runs"].items()
    }
    build_report(tmp_path / "index.html", COMPARISON | {"runs": runs}, RUNS, metrics)
    assert page(tmp_path / "index.html").count("<figcaption>Metric by run<") == 3


def test_missing_pieces_are_left_out_with_a_line(tmp_path: Path) -> None:
    build_report(tmp_path / "index.html", {}, RUNS, tmp_path / "nowhere", tmp_path / "nodata")
    assert page(tmp_path / "index.html").count("Nothing to show") == 9


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
    build_report(tmp_path / "index.html", COMPARISON, RUNS, metrics, data)
    text = page(tmp_path / "index.html")
    assert "Add 1\nand 2." in text
    assert all(f"{run} &lt;img" in text for run in RUNS)


def test_runs_are_in_the_order_given_and_equal_builds_are_equal(
    metrics: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        build_report(tmp_path / name, COMPARISON, RUNS, metrics)
    assert page(tmp_path / "a") == page(tmp_path / "b")
    text = page(tmp_path / "a")
    assert text.index(">self-instruct (baseline)<") < text.index("<td>montessori-1<")


def test_the_lead_says_what_the_corrected_p_values_say() -> None:
    one, two = lead_sentences(COMPARISON)
    assert one.startswith("montessori-1 beats self-instruct on 5 of 5")
    assert two.startswith("montessori-2 has no significant difference from self-instruct")
    assert "No comparison yet" in lead_sentences({"runs": {}})[0]


def test_the_metrics_of_every_stage_are_shown(tmp_path: Path):
    """A kind that dvc.yaml has and the page does not would be overlooked for years."""
    folders = read_graph(Path(__file__).parents[2]).metrics_folders()
    for folder in (*folders, *OTHER_FOLDERS):
        (tmp_path / "metrics" / folder).mkdir(parents=True)
        (tmp_path / "metrics" / folder / "x.json").write_text('{"rows": 3}')
    build_report(tmp_path / "index.html", {"runs": {}}, [], tmp_path / "metrics")
    shown = re.findall(r"<summary>(.*?)</summary>", page(tmp_path / "index.html"))
    assert set(folders) <= set(shown)
    assert set(shown) & set(OTHER_FOLDERS) == set()
