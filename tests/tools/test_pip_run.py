"""Running pip: limits on waiting, and a reason when it fails.

What would break: a first installation hangs on a dead index, or fails without a line that says why.
"""

import sys
import time
from pathlib import Path

import pip_run
import pytest


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "be reached"),
        ("WARNING: 10.0.0.1 is not a trusted or secure host and is being ignored", "over HTTPS"),
        ("pip._vendor.urllib3.exceptions.ReadTimeoutError: Read timed out.", "cannot be reached"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no build of a package"),
        ("ERROR: something new", "something new"),
    ],
)
def test_a_failure_is_explained(log, words):
    what, advice = pip_run.explain(log)
    assert words in what
    assert advice


def test_an_unreachable_index_is_not_called_a_missing_package():
    log = (
        "WARNING: Retrying after connection broken by 'ConnectTimeoutError(...)': /simple/\n"
        "ERROR: Could not find a version that satisfies the requirement polars==2.1.0\n"
        "ERROR: No matching distribution found for polars==2.1.0\n"
    )
    what, _ = pip_run.explain(log)
    assert "cannot be reached" in what


def test_the_last_error_of_pip_is_shown():
    what, _ = pip_run.explain("ERROR: first\nERROR: No matching distribution found for x==1\n")
    assert what.endswith("ERROR: No matching distribution found for x==1")


def test_waiting_is_limited_whatever_the_user_has_set():
    outside = {"PIP_DEFAULT_TIMEOUT": "180", "PIP_RETRIES": "9", "PIP_USER": "1", "PIP_CERT": "c"}
    environment = pip_run.pip_environment(outside | {"PYTHONPATH": "/elsewhere"})
    assert environment["PIP_DEFAULT_TIMEOUT"] == "15"
    assert environment["PIP_RETRIES"] == "2"
    assert environment["PIP_CERT"] == "c"
    assert not {"PIP_USER", "PYTHONPATH"} & environment.keys()


def test_an_index_that_refuses_ends_in_an_error_soon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    started = time.monotonic()
    with pytest.raises(pip_run.SetupError, match="cannot be reached") as caught:
        pip_run.run_pip(
            Path(sys.executable), ("install", "--dry-run", "--no-deps", "montessori-none")
        )
    assert time.monotonic() - started < 60
    assert "PIP_INDEX_URL" in caught.value.next
    assert pip_run.LOG.exists()
