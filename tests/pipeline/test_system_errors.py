"""What the system refuses, in words.

What would break: no space, no permission or a folder in place of a file ends in a traceback, or in
a text that does not say which file.
"""

import errno
import os
from pathlib import Path

import pytest

from montessori.pipeline.system_errors import KINDS, explain_system_error


@pytest.mark.parametrize("number", sorted(KINDS))
def test_each_kind_says_which_file_and_what_next(number: int):
    error = explain_system_error(OSError(number, os.strerror(number), "some/file"))
    assert error is not None
    if "{file}" in KINDS[number][0]:
        assert "some/file" in error.what
    assert error.next
    assert "{" not in str(error)


def test_other_numbers_have_the_systems_words():
    error = explain_system_error(OSError(errno.EBUSY, "busy", "some/file"))
    assert error is not None
    assert error.what == f"{os.strerror(errno.EBUSY)}: some/file"


def test_what_a_library_wraps_is_found():
    """safetensors and polars have errors of their own; some are raised from the system's."""
    told = explain_system_error(ValueError("I/O error: No space left on device (os error 28)"))
    assert told is not None
    assert "no space left" in told.what
    told = explain_system_error(ValueError("cannot write x: Permission denied (os error 13)"))
    assert told is not None
    assert told.what == "Permission denied: cannot write x: Permission denied (os error 13)"
    told = explain_system_error(OSError("Not a directory (os error 20): a/b"))
    assert told is not None
    assert "a/b" in told.what
    wrapped = RuntimeError("cannot save")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")
    told = explain_system_error(wrapped)
    assert told is not None
    assert "no space left" in told.what


def test_what_is_not_the_systems_stays_a_traceback():
    assert explain_system_error(ValueError("a bug")) is None
    assert explain_system_error(OSError("without a number")) is None
    assert explain_system_error(ConnectionResetError(errno.ECONNRESET, "reset")) is None


def test_names_are_shortened(tmp_path: Path):
    with pytest.raises(OSError, match="too long") as raised:
        (tmp_path / ("x" * 5000)).write_text("")
    error = explain_system_error(raised.value)
    assert error is not None
    assert len(str(error)) < 500


def test_the_command_line_explains_them_too(tmp_path: Path, monkeypatch, capsys):
    from montessori import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").mkdir()
    monkeypatch.setattr("sys.argv", ["montessori", "check"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "params.yaml is a folder, where a file is expected" in capsys.readouterr().err
