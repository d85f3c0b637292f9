"""Resumable parts: any cut, any number of shards, several jobs in one folder.

What would break: a stage that was stopped continues to other rows than a stage that was not.

Hours of generation and influence are written in parts. A part that is lost, doubled, taken from
other work or divided differently by another process would change a dataset without any error.
"""

import shutil
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from montessori.errors import MontessoriError
from montessori.pipeline.parts import Parts, Shard
from montessori.signals.influence.table import part_bounds
from montessori.writing.produce import write_probe
from montessori.writing.settings import ProbeParams
from tests.writing.scripted import ScriptedEngine, make_inputs, make_order


class Stopped(Exception):
    """What stands for a killed process."""


class StoppingEngine(ScriptedEngine):
    """A teacher whose process ends instead of making call number `at`, counted from 0."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def generate(self, requests, sampling, on_done=None):
        if self.calls == self.at:
            raise Stopped
        return super().generate(requests, sampling, on_done)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A teacher, seeds and eval items."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, inputs):
    """The files of a probe whose writing nothing stopped, and how many calls it needed."""
    folder, engine = tmp_path_factory.mktemp("whole"), ScriptedEngine()
    write_probe(*make_order(folder, inputs, engine), ProbeParams(14), folder / "probe")
    return contents(folder / "probe"), engine.calls


def contents(folder: Path) -> dict[str, bytes]:
    """File names and their bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=8)
@given(cuts=st.lists(st.integers(0, 8), min_size=1, max_size=3))
def test_a_probe_stopped_anywhere_continues_to_the_same_bytes(cuts, inputs, whole):
    """Each process is stopped before its own call number `cut`; the last one is not."""
    wanted, calls = whole
    made = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for cut in cuts:
            engine = StoppingEngine(cut)
            try:
                write_probe(*make_order(folder, inputs, engine), ProbeParams(14), folder / "probe")
            except Stopped:
                assert not (folder / "probe").exists()
            else:
                shutil.rmtree(folder / "probe")
            made += engine.calls
        last = ScriptedEngine()
        write_probe(*make_order(folder, inputs, last), ProbeParams(14), folder / "probe")
        assert contents(folder / "probe") == wanted
        assert list((folder / "work").rglob("*.parquet")) == []
    assert last.calls <= calls <= made + last.calls


# ----------------------------------------------------------------------- who fills which part
@given(st.integers(1, 9), st.integers(0, 60))
def test_every_part_belongs_to_exactly_one_shard(count, part):
    shards = [Shard.parse(f"{index}/{count}") for index in range(1, count + 1)]
    assert [shard.owns_part(part) for shard in shards].count(True) == 1


@given(st.lists(st.integers(1, 6), max_size=30), st.integers(1, 12))
def test_parts_cover_all_rows_and_keep_prompts_whole(samples, size):
    """`samples` are the rows of each prompt; only the last part may be smaller than `size`."""
    prompts = [f"p{i}" for i, count in enumerate(samples) for _ in range(count)]
    bounds = part_bounds(prompts, size)
    rows = [row for start, end in bounds for row in range(start, end)]
    assert rows == list(range(len(prompts)))
    for start, end in bounds:
        assert start == 0 or prompts[start - 1] != prompts[start]
        assert end - start >= size or end == len(prompts)


@given(st.text(alphabet="0123456789/-+ ²٣a", max_size=5))
def test_what_is_read_as_a_shard_is_one(text):
    """Digits of other scripts, signs and spaces are refused, or read as Python reads them."""
    try:
        shard = Shard.parse(text)
    except MontessoriError:
        return
    index, count = map(int, text.split("/"))
    assert (shard.index, shard.count) == (index, count)
    assert 1 <= index <= count


# ------------------------------------------------------------------------- parts of several jobs
class PartsOfTwoJobs(RuleBasedStateMachine):
    """Parts against a dictionary: two jobs share a work folder, a process may end at any time."""

    @initialize()
    def start(self) -> None:
        self.work = Path(tempfile.mkdtemp())
        self.written: dict[tuple[str, int], list[int]] = {}

    @rule(job=st.sampled_from("ab"), index=st.integers(0, 2), rows=st.lists(st.integers(0, 9)))
    def write(self, job, index, rows):
        """Finish a part, perhaps once more."""
        frame = pl.DataFrame({"row": rows}, schema={"row": pl.Int64})
        Parts(self.work, job).write_part(index, frame)
        self.written[job, index] = rows

    @rule(job=st.sampled_from("ab"))
    def clear(self, job):
        """The job's output is written: its parts go, those of the other job stay."""
        Parts(self.work, job).remove_all()
        self.written = {key: rows for key, rows in self.written.items() if key[0] != job}

    @rule(job=st.sampled_from("ab"), index=st.integers(0, 2))
    def die_while_writing(self, job, index):
        """A process that is killed leaves half a file, under another name."""
        folder = Parts(self.work, job).folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{index:06d}.parquet.1.partial").write_bytes(b"PAR1")

    @invariant()
    def what_is_done_is_what_was_written(self):
        """A new process finds all finished parts, whole, and no others."""
        for job in "ab":
            parts = Parts(self.work, job)
            for index in range(3):
                rows = self.written.get((job, index))
                assert (parts.find_part(index) is None) == (rows is None)
                if rows is not None:
                    assert parts.read_part(index)["row"].to_list() == rows

    def teardown(self):
        shutil.rmtree(self.work)


TestPartsOfTwoJobs = PartsOfTwoJobs.TestCase
TestPartsOfTwoJobs.settings = settings(max_examples=10, stateful_step_count=10)
