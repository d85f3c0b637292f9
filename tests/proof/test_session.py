"""The proof on a toy DVC project: complete, continued after a kill, honest about failures.

What would break: a proof of days starts over after a kill, changes the user's working tree, or
hides an experiment that failed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.proof import run_proof
from montessori.proof.experiments import plan_experiments

from . import toy

pytestmark = pytest.mark.xdist_group("proof")  # two experiments at once are enough
ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    return tmp_path / "log"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.make(tmp_path_factory.mktemp("template"))


@pytest.fixture
def root(tmp_path: Path, log: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "project")


def ran(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def experiments(root: Path) -> set[str]:
    text = toy.run(root, sys.executable, "-m", "dvc", "exp", "list", "--name-only")
    return set(text.split())


def test_proof_runs_once_and_is_written(root: Path, log: Path) -> None:
    run_proof("0", "controls", "student,student-2", 2, root)
    proof = json.loads((root / "metrics/proof/controls.json").read_text())
    assert proof["over"] == "seeds"
    assert list(proof["students"]) == ["student", "student-2"]
    first = proof["students"]["student"]
    assert first["runs"]["montessori-1"]["mean"] == {
        "value": 45.0,
        "delta": 5.0,
        "low": None,
        "high": None,
        "p": None,
        "p_holm": None,
    }
    assert first["runs"]["base"]["micro_mt_bench"]["value"] == pytest.approx(100 * 4 / 9)
    assert "placebo" in first["runs"]
    assert "placebo" not in proof["students"]["student-2"]["runs"]
    assert "1 seed (0)" in (root / "README.md").read_text()
    assert (root / "README.md").read_text().endswith("\n\nafter\n")
    assert "seed 0" in (root / "docs/results/proof.md").read_text()
    assert "<svg" in (root / "docs/img/proof-controls.svg").read_text()
    planned = {
        entry.name for entry in plan_experiments(root, "controls", [0], ["student", "student-2"], 1)
    }
    assert experiments(root) == planned
    toy.commit(root)
    toy.run(root.parent, "git", "clone", "-q", str(root), "clone")
    before = ran(log)
    for folder in (root, root.parent / "clone"):  # the records in git are enough
        written = (folder / "metrics/proof/controls.json").read_bytes()
        run_proof("0", "controls", "student,student-2", 2, folder)
        assert (folder / "metrics/proof/controls.json").read_bytes() == written
    assert ran(log) == before


def test_killed_proof_continues(root: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SECONDS", "0.5")
    process = start(root)
    wait_until(lambda: sum(line.startswith("sft") for line in ran(log)) >= 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    for child in children:
        os.killpg(int(child), signal.SIGKILL)
    done = {line for line in ran(log) if line.startswith("synth")}
    left = list((root / ".dvc/tmp/exps/standalone").glob("tmp*"))
    assert left
    monkeypatch.setenv("TOY_SECONDS", "0")
    run_proof("0-1", "controls", "student", 2, root)
    assert not list((root / ".dvc/tmp/exps/standalone").glob("tmp*"))
    assert len(experiments(root)) == 2
    assert done
    assert any(ran(log)[line] == 1 for line in done)  # finished stages came from the run cache


def test_inputs_that_neither_git_nor_dvc_has_reach_an_experiment(root: Path) -> None:
    """As benchmarks that one has fetched: an experiment runs in a copy of the repository."""
    (root / "data/fetched").mkdir()
    (root / "data/fetched/x").write_text("not in git")
    (root / ".gitignore").write_text(".work\n/data/fetched/\n")
    (root / "profiles/fetched.yaml").write_text("models:\n  more: {path: data/fetched/}\n")
    toy.commit(root)
    run_proof("0", "fetched", "student", 1, root)
    assert (root / "metrics/proof/fetched/student-0.json").exists()


def wait_until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def test_failed_experiment_is_told_and_the_others_are_kept(
    root: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAIL", str(tmp_path / "fail"))
    (tmp_path / "fail").write_text("1")
    with pytest.raises(MontessoriError, match="1 of 2 experiments failed") as error:
        run_proof("0-1", "controls", "student", 2, root)
    assert "the toy breaks" in str(error.value)
    assert seeds_of(root) == [0]
    (tmp_path / "fail").unlink()
    run_proof("0-1", "controls", "student", 2, root)
    assert seeds_of(root) == [0, 1]


def test_reason_is_told_where_every_experiment_fails(
    root: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FAIL", str(tmp_path / "fail"))
    (tmp_path / "fail").write_text("1")
    with pytest.raises(MontessoriError, match="1 of 1 experiments failed") as error:
        run_proof("1", "controls", "student", 1, root)
    assert "the toy breaks" in str(error.value)
    assert ".work/proof/proof-student-1-" in str(error.value)
    assert not (root / "metrics/proof").exists()


def seeds_of(root: Path) -> list[int]:
    return json.loads((root / "metrics/proof/controls.json").read_text())["students"]["student"][
        "seeds"
    ]


def test_repository_without_commit_is_an_error(tmp_path: Path) -> None:
    toy.run(tmp_path, "git", "init", "-q", ".")
    with pytest.raises(MontessoriError, match="no commit"):
        run_proof("0", "controls", "student", 1, tmp_path)


@pytest.mark.parametrize("name", ["stages/new.py", "params.yaml"])
def test_code_and_settings_that_are_not_committed_are_an_error(root: Path, name: str) -> None:
    with (root / name).open("a") as file:
        file.write("# more\n")
    with pytest.raises(MontessoriError, match=name):
        run_proof("0", "controls", "student", 1, root)


def test_stopped_proof_leaves_the_working_tree_as_it_was(
    root: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SECONDS", "0.5")
    (root / "README.md").write_text(toy.PAGE.format("summary") + "changed\n")
    process = start(root)
    wait_until(lambda: bool(ran(log)))
    process.terminate()
    _, text = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "the same command continues" in text
    assert toy.run(root, "git", "status", "--porcelain", "-uno") == " M README.md\n"
    assert toy.run(root, "git", "stash", "list") == ""


def start(root: Path) -> subprocess.Popen[str]:
    code = "from montessori.proof import run_proof; run_proof('0-1', 'controls', 'student', 2)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("jobs", [0, -1])
def test_bad_jobs_are_an_error(root: Path, jobs: int) -> None:
    with pytest.raises(MontessoriError, match="jobs"):
        run_proof("0", "controls", "student", jobs, root)
