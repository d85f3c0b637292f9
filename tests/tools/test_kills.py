"""The kill test notices what it is for, on stages of a few milliseconds.

What would break: a stage that writes in place, leaves files behind or gives other bytes after a
kill passes the campaign, or a campaign that was stopped begins anew.
"""

import atexit
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.campaign.kills import main
from tools.campaign.kills_process import Command
from tools.campaign.kills_record import Kill, append_kill, read_kills
from tools.campaign.kills_tree import Tree
from tools.campaign.kills_trial import Outcome, Target, Trial

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="timers of processor time: Linux")
TEXT = "whole\n" * 200


@dataclass(frozen=True)
class Fake(Command):
    """A stage that is a function."""

    body: Callable[[], None] = lambda: None

    def call(self) -> None:
        self.body()


def work(seconds: float = 0.03) -> None:
    """Use the processor for so long."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def write_atomically(sweep: bool = True) -> None:
    if sweep:
        for stray in Path().glob(".out.*.partial"):
            stray.unlink()
    partial = Path(f".out.{random.SystemRandom().random()}.partial")
    work(0.02)
    partial.write_text(TEXT)
    work(0.08)
    partial.rename("out")
    work(0.02)


def write_in_place() -> None:
    with open("out", "w") as handle:
        for _ in range(2):
            handle.write(TEXT[: len(TEXT) // 2])
            handle.flush()
            work()


def count_starts() -> None:
    """What an earlier start has left changes the output."""
    Path(".work").mkdir(exist_ok=True)
    state = Path(".work/starts")
    starts = state.read_text() if state.is_file() else ""
    state.write_text(starts + "x")
    work()
    Path("out").write_text(TEXT + starts)
    state.unlink()
    Path(".work").rmdir()


def fail_on_term() -> None:
    signal.signal(signal.SIGTERM, lambda *_: 1 / 0)
    write_atomically()


@pytest.fixture
def outcomes(tmp_path: Path, monkeypatch) -> Callable[..., list[Outcome]]:
    """Outcomes of kills of a body that writes `out`."""
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: None)  # those of the tests themselves

    def kill(body: Callable[[], None], number: int = signal.SIGKILL) -> list[Outcome]:
        root = tmp_path / "root"
        root.mkdir()
        (root / "input").write_text("data")
        tree = Tree(root, tmp_path / "keep")
        tree.keep_copy()
        command = Fake(("fake",), body)
        trial = Trial(Target("fake", ("out",), (command,), (command,)), tree, tmp_path / "log")
        assert trial.rehearse() == []
        draw = random.Random(5)
        return [trial.kill(draw, signal.Signals(number)) for _ in range(5)]

    return kill


def test_a_stage_that_writes_atomically_passes(outcomes) -> None:
    found = outcomes(write_atomically)
    # How many depends on the machine: the system's timers are some milliseconds late.
    assert any(outcome.hit for outcome in found)
    assert [fault for outcome in found for fault in outcome.faults] == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (write_in_place, "half-written: out"),
        (lambda: write_atomically(sweep=False), "litter: .out."),
        (count_starts, "other bytes: out"),
    ],
)
def test_what_a_stage_does_wrong_is_a_fault(outcomes, body, fault: str) -> None:
    found = [text for outcome in outcomes(body) for text in outcome.faults]
    assert any(text.startswith(fault) for text in found), found


def test_after_sigterm_a_traceback_and_litter_are_faults(outcomes) -> None:
    found = [text for one in outcomes(fail_on_term, signal.SIGTERM) for text in one.faults]
    assert any("ZeroDivisionError" in text for text in found), found


def test_the_tree_is_put_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "a/file").write_text("1")
    (root / "link").symlink_to("a/file")
    tree = Tree(root, tmp_path / "keep")
    tree.keep_copy()
    (root / "a/file").write_text("2")
    (root / "link").unlink()
    (root / "new/deep").mkdir(parents=True)
    (root / ".work/empty").mkdir(parents=True)
    tree.restore()
    assert tree.scan() == tree.first
    assert (root / "a/file").read_text() == "1"


def test_a_record_is_continued_and_summed_up(tmp_path: Path, capsys) -> None:
    record, summary = tmp_path / "kills.jsonl", tmp_path / "kills.json"
    kill = Kill("probe@a", 0, "KILL", 1, False, 0.5, 1.0, True, (), 2.0, "abc")
    append_kill(record, kill)
    append_kill(record, Kill(**{**vars(kill), "number": 1, "faults": ("litter: x",)}))
    with record.open("a") as handle:
        handle.write('{"target": "pro')  # torn by a kill of the campaign itself
    assert read_kills(record)[0] == kill
    assert main(["--table", "--record", str(record), "--summary", str(summary)]) == 1
    assert "| `probe@a` | 2 | 2 | 2 | 0 | 1 | 0 |" in capsys.readouterr().out
