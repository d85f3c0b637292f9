"""`montessori bench filters`: the fast near-duplicate search against comparing all pairs.

What would break: the command calls the two equal although the fast search keeps or drops other
rows, or its speed-up is not that of its own times.
"""

import json
import random
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from montessori.bench import filters as bench_module
from montessori.bench.all_pairs import compare_all_pairs, published_procedure
from montessori.bench.filters import find_near_duplicates, pairs_before
from montessori.cli import app
from montessori.errors import MontessoriError
from montessori.filters.near_duplicates import NearDuplicates
from tests.command_line import options

pytest.importorskip("rouge_score")


def texts(count: int) -> list[str]:
    """Every third text is an earlier one with a word more."""
    rng = random.Random(0)
    made: list[str] = []
    for number in range(count):
        if number % 3 == 2:
            made.append(f"{rng.choice(made)} again")
        else:
            made.append(" ".join(f"w{rng.randrange(40)}" for _ in range(rng.randint(3, 12))))
    return made


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Rows of every form: alone, with a response, as messages."""
    path = tmp_path / "rows.jsonl"
    forms = [
        lambda text: {"instruction": text},
        lambda text: {"instruction": text, "response": "x"},
        lambda text: {
            "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}]
        },
    ]
    lines = [json.dumps(forms[i % 3](text)) for i, text in enumerate(texts(90))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(code: int = 0, **chosen: object) -> str:
    """What `montessori bench filters` prints with the options `chosen`; it ends with `code`."""
    result = CliRunner().invoke(app, ["bench", "filters", *options(**chosen)])
    if isinstance(result.exception, MontessoriError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_figures_of_a_file(rows: Path, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"instruction": "w1 w2 w3", "response": "x"}\n', encoding="utf-8")
    text = run(rows=rows, seeds=seeds, json=tmp_path / "f.json", sample=30, published_rows=2)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["equal"] is True
    assert (figures["rows"], figures["seeds"], figures["half_rows"]) == (90, 1, 45)
    assert figures["dropped"] > 10
    assert figures["sample_rows"] == 30
    assert figures["sample_dropped"] > 5
    assert 0 < figures["pairs_compared"] < figures["pairs"]
    assert figures["ratio"] == pytest.approx(
        figures["published_seconds_per_pair"] * figures["pairs"] / figures["seconds"]
    )
    assert figures["rows_per_second"] == pytest.approx(90 / figures["seconds"])
    assert figures["growth"] == pytest.approx(figures["seconds"] / figures["half_seconds"])
    assert "times faster" in text


def test_a_wrong_decision_is_seen(rows: Path, tmp_path: Path, monkeypatch) -> None:
    class Blind(NearDuplicates):
        def near(self, text: str) -> bool:
            return super().near(text) and not text.endswith("again again")

    monkeypatch.setattr(bench_module, "NearDuplicates", Blind)
    text = run(code=1, rows=rows, json=tmp_path / "f.json", published_rows=1)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert "NOT EQUAL" in text
    assert figures["equal"] is figures["equal_all_pairs"] is False


def test_a_wrong_score_is_seen(rows: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bench_module, "rouge_l", lambda a, b: 2 * 7 / 20)
    run(code=1, rows=rows, json=tmp_path / "f.json", published_rows=1)
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["equal_scores"] is False
    assert figures["equal_all_pairs"] is True


def test_every_pair_by_hand() -> None:
    rows = ["a b c d", "x y", "a b c e", "z", "a b c d e", ""]
    plain = compare_all_pairs(["z"], rows, 0.7)
    assert plain.dropped == [False, False, True, True, True, False]
    assert plain.closest == [None, None, 0, None, 0, None]
    assert find_near_duplicates(["z"], rows, 0.7).dropped == plain.dropped
    assert pairs_before(plain.dropped, 1) == [1, 2, 3, 3, 3, 3]


def test_the_published_procedure_by_hand() -> None:
    assert published_procedure("a b c d", ["x", "a b c e"], 0.7)[0]  # 0.75
    assert not published_procedure("a b c d", ["x", "a b c e"], 0.75)[0]
    assert not published_procedure("a b c d", [], 0.7)[0]


def test_what_cannot_be_used_is_said(rows: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(MontessoriError, match="--limit 1 is not in"):
        run(rows=rows, limit=1)
    with pytest.raises(MontessoriError, match="does not exist"):
        run(rows=tmp_path / "none.jsonl")
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction": "fine"}\n{"text": "x"}\n')
    with pytest.raises(MontessoriError, match="line 2: 'instruction' is missing"):
        run(rows=bad)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MontessoriError, match="rouge_score is not installed"):
        run(rows=rows)
