"""Errors, seeds, parts and the progress line.

What would break: an error does not say what to do next, a seed changes and with it every result, or
parts of other work are taken up.
"""

import io
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.schemas import ROWS, SCORES
from montessori.errors import MontessoriError
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import Progress
from montessori.seeding import seed_of


def test_an_error_says_what_where_expected_next():
    error = MontessoriError("too few", where="a.json", expected="3", next="dvc repro")
    assert str(error) == "too few\nwhere: a.json\nexpected: 3\nnext: dvc repro"
    assert str(MontessoriError("too few", next="dvc repro")) == "too few\nnext: dvc repro"


def test_seeds_are_fixed_for_ever():
    assert seed_of(0, "instruction", 3, 1) == 2396719986325261238
    assert seed_of(1, "sft") == 1310098776370968678


def test_seeds_differ_in_every_part_and_fit_63_bits():
    seeds = [seed_of(0, "a", 1, 2), seed_of(1, "a", 1, 2), seed_of(0, "b", 1, 2)]
    seeds += [seed_of(0, "a", 2, 1), seed_of(0, "a", 12), seed_of(0, "a", "1", 2), seed_of(0, "a")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_spread_evenly():
    bits = [seed_of(0, "a", index) >> 62 for index in range(2000)]
    assert 850 < sum(bits) < 1150


def test_parts_come_back_and_belong_to_their_digest(tmp_path: Path):
    digests = [
        parts_digest({"a": 1}, {"in": "x"}, ROWS),
        parts_digest({"a": 2}, {"in": "x"}, ROWS),
        parts_digest({"a": 1}, {"in": "y"}, ROWS),
        parts_digest({"a": 1}, {"in": "x"}, SCORES),
    ]
    assert len(set(digests)) == 4
    parts, others = Parts(tmp_path, digests[0]), Parts(tmp_path, digests[1])
    frame = pl.DataFrame({"x": [1, 2]})
    assert parts.find_part(0) is None
    parts.write_part(0, frame)
    assert parts.find_part(0) == tmp_path / digests[0] / "000000.parquet"
    assert parts.read_part(0).equals(frame)
    assert others.find_part(0) is None
    with pytest.raises(MontessoriError):
        others.read_part(0)
    parts.remove_all()
    assert parts.find_part(0) is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_rate_ignores_the_first_step(monkeypatch: pytest.MonkeyPatch):
    now = iter([0.0, 100.0, 110.0, 120.0])
    monkeypatch.setattr("montessori.progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    progress = Progress(40, "rows", "probe mine", stream)
    progress.advance(10)
    progress.advance(10, loss=0.123456)
    progress.advance(10, kept=7)
    assert stream.getvalue().splitlines() == [
        "probe mine: 10/40 rows",
        "probe mine: 20/40 rows, 1 rows/s, 0:20 left, loss 0.1235",
        "probe mine: 30/40 rows, 1 rows/s, 0:10 left, kept 7",
    ]


def test_steps_that_end_together_are_rated_from_the_beginning(monkeypatch: pytest.MonkeyPatch):
    """Two workers take a batch each, and end at almost the same time."""
    now = iter([0.0, 60.0, 60.1])
    monkeypatch.setattr("montessori.progress.time.monotonic", lambda: next(now))
    stream = io.StringIO()
    progress = Progress(120, "answers", "turn 1", stream)
    progress.advance(60)
    progress.advance(60)
    assert stream.getvalue().splitlines()[-1] == "turn 1: 120/120 answers, 2 answers/s, 0:00 left"


def test_without_a_terminal_lines_are_rare_and_the_last_is_shown():
    stream = io.StringIO()
    progress = Progress(100, "rows", "x", stream)
    for _ in range(100):
        progress.advance()
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().startswith("x: 100/100 rows")


def test_on_a_terminal_it_is_one_line():
    stream = Terminal()
    with Progress(2, "rows", "x", stream) as progress:
        progress.advance(2)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("\r")
