"""Writes that end in the middle: a full disk, a killed process, two processes at once.

What would break: a file or a folder is there in half, and the next stage reads it as if it were
whole.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montessori.artifacts import files
from montessori.artifacts.files import (
    folder_digest,
    new_folder,
    read_json,
    write_json,
    write_table,
    write_text,
)

SCHEMA = {"x": pl.Int64}


def write_folder(path: Path, value: int) -> None:
    """An artifact folder that holds the number."""
    with new_folder(path, {}, {"value": value}, libraries=()) as folder:
        (folder / "x.txt").write_text(str(value))


def write_histogram(path: Path, value: int) -> None:
    """A plot of stage influence."""
    from montessori.signals.influence.score import _write_histogram

    _write_histogram(path, [0.5, float(value)])


def write_skills(path: Path, value: int) -> None:
    """A plot of the stages that write rows."""
    from montessori.writing.produce import _write_skills

    _write_skills(pl.DataFrame({"skill": ["sums"] * value}), path)


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "json": lambda path, value: write_json(path, value),
    "text": lambda path, value: write_text(path, f"{value}\n"),
    "table": lambda path, value: write_table(pl.DataFrame({"x": [value]}), path, SCHEMA),
    "folder": write_folder,
    "histogram": write_histogram,
    "skills": write_skills,
}


def digest(path: Path) -> str:
    """What is at the path, or that nothing is there."""
    return folder_digest(path) if path.exists() else ""


def fail(*_: Any, **__: Any) -> None:
    """What the system says when a disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_write_that_fails_leaves_what_was_there(
    kind: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "artifact", WRITERS[kind]
    for old in (False, True):
        if old:
            write(path, 1)
        before = digest(path)
        with monkeypatch.context() as patch:
            patch.setattr(files.os, step, fail)
            with pytest.raises(OSError, match="No space"):
                write(path, 2)
        assert digest(path) == before
        assert {each.name for each in tmp_path.iterdir()} == ({"artifact"} if old else set())


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_is_on_the_disk_before_it_gets_its_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves a file of the right name without its content."""
    order = []
    sync, replace = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        order.append("sync")
        sync(handle)

    def note_replace(source: Path, target: Path) -> None:
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", note_sync)
    monkeypatch.setattr(files.os, "replace", note_replace)
    WRITERS[kind](tmp_path / "artifact", 1)
    assert "replace" in order
    assert order[0] == "sync"


@pytest.mark.parametrize("kind", ["json", "text", "table"])
def test_two_processes_that_write_one_file_leave_one_of_the_two(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process writes while this one is about to rename its own file."""
    path, write = tmp_path / "artifact", WRITERS[kind]
    write(tmp_path / "other", 2)
    replace, mine = os.replace, os.getpid()

    def other_goes_first(source: Path, target: Path) -> None:
        monkeypatch.setattr(files.os, "replace", replace)
        monkeypatch.setattr(files.os, "getpid", lambda: mine + 1)
        write(path, 2)
        assert path.read_bytes() == (tmp_path / "other").read_bytes()
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", other_goes_first)
    write(path, 1)
    write(tmp_path / "this", 1)
    assert path.read_bytes() == (tmp_path / "this").read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"artifact", "this", "other"}


def test_a_folder_is_never_a_mixture_of_two_runs(tmp_path: Path) -> None:
    """Files of the old folder that the new one does not write are gone."""
    with new_folder(tmp_path / "out", {}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "old.txt").write_text("old")
    with new_folder(tmp_path / "out", {}) as folder:
        (folder / "new.txt").write_text("new")
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"manifest.json", "new.txt"}


def test_an_input_that_is_not_there_ends_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(files.MontessoriError, match="does not exist"),
        new_folder(tmp_path / "out", {"source": tmp_path / "none"}) as folder,
    ):
        (folder / "x.txt").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_lists_files_in_folders_and_not_itself(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out", {}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x.txt").write_text("x")
    assert list(read_json(tmp_path / "out" / "manifest.json")["files"]) == ["deep/x.txt"]


def test_a_link_to_a_file_counts_as_its_content(tmp_path: Path) -> None:
    """DVC may link a file out of its cache: the artifact is the same."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "x.txt").write_text("x")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "x.txt").symlink_to(tmp_path / "plain" / "x.txt")
    assert folder_digest(tmp_path / "plain") == folder_digest(tmp_path / "linked")
