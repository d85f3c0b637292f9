"""One experiment in git: what must be committed, what is finished, what its commit holds.

What would break: a proof of code that is in no commit, an experiment that is repeated although it
is finished, or the removal of a copy that is not the proof's.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.proof import experiment
from montessori.proof.experiment import (
    check_repository,
    commit_date,
    find_finished,
    has_copy,
    read_files,
    remove_leftovers,
    run_git,
    stages_done,
)


def git(root: Path, *arguments: str, **environment: str) -> str:
    """The output of a git command by a person with a name."""
    identity = ["-c", "user.name=a", "-c", "user.email=b@c"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=root,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with params, code and metrics in one commit."""
    files = {
        "params.yaml": "seed: 0\n",
        "montessori/a.py": "A = 1\n",
        "metrics/eval/a.json": '{"mean": 4.5}',
        "metrics/plots/synth/a.csv": "skill,rows\nsums,3\n",
        "metrics/plots/page.svg": "<svg/>",
        "README.md": "read\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(
        tmp_path,
        *("commit", "-q", "-m", "start"),
        GIT_COMMITTER_DATE="2026-11-22T12:10:23+02:00",
    )
    return tmp_path


# ------------------------------------------------------------------------- what is committed
def test_a_repository_as_committed_passes(root: Path):
    check_repository(root)


def test_a_change_that_decides_no_result_passes(root: Path):
    (root / "README.md").write_text("changed\n")
    (root / "notes.txt").write_text("new\n")
    check_repository(root)


@pytest.mark.parametrize("name", ["params.yaml", "montessori/a.py", "montessori/new.py"])
def test_a_change_that_decides_results_is_refused_by_name(root: Path, name: str):
    (root / name).write_text("changed\n")
    with pytest.raises(MontessoriError, match="1 files that decide the result") as error:
        check_repository(root)
    assert error.value.where == name
    assert "git commit" in error.value.next


def test_many_changes_are_named_in_part(root: Path):
    for number in range(7):
        (root / "montessori" / f"{number}.py").write_text("")
    with pytest.raises(MontessoriError, match="7 files") as error:
        check_repository(root)
    assert error.value.where.count("montessori/") == 5
    assert error.value.where.endswith(", ...")


def test_a_repository_without_a_commit_is_refused(tmp_path: Path):
    git(tmp_path, "init", "-q")
    with pytest.raises(MontessoriError, match="no commit") as error:
        check_repository(tmp_path)
    assert "git commit" in error.value.next


def test_a_git_command_that_fails_is_an_error_with_gits_own_words(root: Path):
    with pytest.raises(MontessoriError, match="git show failed: .*no-such") as error:
        run_git(root, "show", "no-such")
    assert error.value.where == str(root)
    assert run_git(root, "show", "no-such", check=False) == ""


# --------------------------------------------------------------------------- what is finished
def test_finished_experiments_of_the_proof_are_found_and_no_others(root: Path):
    head = git(root, "rev-parse", "HEAD")
    for name in ("proof-a-student-0", "proof-b-student-1", "my-own"):
        git(root, "update-ref", f"refs/exps/ab/{head}/{name}", head)
    git(root, "branch", "proof-c-student-2")
    assert find_finished(root) == {
        name: f"refs/exps/ab/{head}/{name}" for name in ("proof-a-student-0", "proof-b-student-1")
    }


def test_files_are_those_of_the_commit_below_metrics_by_their_ending(root: Path):
    (root / "metrics" / "eval" / "a.json").write_text('{"mean": 99}')  # not committed
    found = read_files(root, "HEAD", (".json", ".csv"))
    assert found == {
        "metrics/eval/a.json": '{"mean": 4.5}',
        "metrics/plots/synth/a.csv": "skill,rows\nsums,3\n",
    }


def test_the_date_of_a_commit_is_in_utc(root: Path):
    assert commit_date(root, "HEAD") == "2026-11-22T10:10:23Z"


# ------------------------------------------------------------------------------ what runs still
def test_stages_are_counted_from_the_log(tmp_path: Path):
    log = tmp_path / "a.log"
    assert stages_done(log) == 0
    log.write_text("")
    assert not has_copy(log)
    log.write_bytes(
        b"Reproducing experiment 'proof-a'\nStage 'seed' didn't change, skipping\n"
        b"Running stage 'probe@a':\n> python -m stages.probe\nprobe a: 3/9 \xff\n"
        b"Stage 'sft@a' is cached - skipping run\nUse `dvc push`: Running stage\n"
    )
    assert has_copy(log)
    assert stages_done(log) == 3


def leftover(root: Path, name: str, copy: Path) -> Path:
    """A running experiment's copy and the file in which DVC notes it."""
    copy.mkdir(parents=True)
    (copy / "params.yaml").write_text("seed: 1\n")
    note = root / ".dvc" / "tmp" / "exps" / "run" / copy.name / f"{copy.name}.run"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"name": name, "root_dir": str(copy)}))
    return copy


def test_copies_of_killed_experiments_of_the_proof_are_removed_and_nothing_else(tmp_path: Path):
    standalone = tmp_path / ".dvc" / "tmp" / "exps" / "standalone"
    own = leftover(tmp_path, "proof-a-student-0", standalone / "one")
    another = leftover(tmp_path, "my-own", standalone / "two")
    elsewhere = leftover(tmp_path, "proof-b-student-0", tmp_path / "home" / "three")
    assert remove_leftovers(tmp_path) == 1
    assert not own.exists()
    assert another.exists()
    assert elsewhere.exists()
    assert remove_leftovers(tmp_path) == 0


def test_without_experiments_there_is_nothing_to_remove(tmp_path: Path):
    assert remove_leftovers(tmp_path) == 0


# ------------------------------------------------------------------------------- how it is run
def test_an_experiment_has_an_identity_of_its_own_only_where_git_has_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "me@here")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    found = experiment._process_environment(root, threads=3)
    assert found["GIT_AUTHOR_NAME"] == "montessori"
    assert found["GIT_COMMITTER_EMAIL"] == "me@here"
    assert found["OMP_NUM_THREADS"] == "3"
    git(root, "config", "user.email", "x@y")
    assert "GIT_AUTHOR_NAME" not in experiment._process_environment(root, threads=3)


def test_the_interpreter_of_the_proof_comes_first_on_the_path(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    """As the link in the environment's bin, or stages would run outside the environment."""
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(experiment.sys, "executable", "/project/.venv/bin/python")
    path = experiment._process_environment(root, threads=1)["PATH"]
    assert path == f"/project/.venv/bin{os.pathsep}/usr/bin"
