"""What `montessori doctor` says of a remote, by what the libraries of remotes raise.

What would break: a remote that is empty, down or refuses the key is called fine, or is named
without the command that leads on, or with a password.
"""

from pathlib import Path

import pytest

from montessori.commands import remotes
from montessori.commands.remotes import describe_remote, hide_user, remote_findings

S3, SSH, DAV = "s3://data/store", "ssh://me@host/store", "webdavs://host/store"


def tried(url: str = "/store", **facts):
    kind = url.partition("://")[0] if "://" in url else "local"
    return {"name": "shared", "url": url, "kind": kind, "there": True, "wanted": 5, **facts}


@pytest.mark.parametrize(
    ("url", "error", "what", "next"),
    [
        (S3, ["EndpointConnectionError", "Could not connect to the endpoint URL"], "reached", "st"),
        (S3, ["NoCredentialsError", "Unable to locate credentials"], "key", "export AWS_ACCESS"),
        (S3, ["PermissionError", "Forbidden"], "refuses the key", "export AWS_ACCESS_KEY_ID"),
        (S3, ["FileNotFoundError", "The specified bucket does not exist"], "no bucket", "create"),
        (S3, ["RemoteMissingDepsError", "s3 is supported, but requires"], "library", "pip install"),
        (SSH, ["PermissionDenied", "Permission denied for user me"], "refuses", "ssh to the serv"),
        (SSH, ["FileNotFoundError", "No such file or directory: '/k'"], "key file", "dvc remote"),
        (SSH, ["FileNotFoundError", "No such file or directory"], "has no such folder", "create"),
        (DAV, ["ClientError", "received 401 (Unauthorized)"], "refuses", "dvc remote modify --l"),
        (DAV, ["ResourceNotFound", "The resource store could not be found"], "folder", "create"),
        (DAV, ["RuntimeError", "what nobody knows"], "what nobody knows", "dvc status --cloud"),
    ],
)
def test_each_cause_has_its_words_and_its_next_step(url, error, what, next):
    found = describe_remote(tried(url, error=[error]))
    assert found.level == "bad"
    assert what in found.text
    assert found.next.startswith(next)


def test_an_empty_remote_while_the_lock_names_outputs_is_bad():
    found = describe_remote(tried(S3, found=0))
    assert found.level == "bad"
    assert "is empty" in found.text
    assert found.next.startswith("dvc push --run-cache")
    assert describe_remote(tried(S3, found=3)).level == "note"
    assert describe_remote(tried(S3, found=5)).level == "ok"
    assert describe_remote(tried(S3, wanted=0, found=0)).level == "ok"


def test_objects_that_are_not_whole_are_bad():
    found = describe_remote(tried(SSH, found=5, cut=["/store/files/md5/ab/cd", "b"]))
    assert found.level == "bad"
    assert "objects are not whole" in found.text
    assert found.next.startswith("remove /store/files/md5/ab/cd b there, then dvc push")


def test_a_folder_that_is_not_there_or_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = describe_remote(tried(there=False, found=0))
    assert "its folder is not there" in found.text
    assert found.next.startswith("mkdir -p /store")
    monkeypatch.setattr(remotes, "GIB", 1e18)
    found = describe_remote(tried(str(tmp_path), found=5))
    assert "GiB free" in found.text


def test_passwords_in_addresses_are_not_shown():
    assert hide_user("webdav://me:secret@host/store") == "webdav://host/store"
    found = describe_remote(
        tried("webdav://me:secret@host/store", error=[["X", "at //me:secret@h"]])
    )
    assert "secret" not in found.text + found.next


def test_what_hangs_is_named_and_the_rest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    slow = tmp_path / "slow.py"
    slow.write_text(
        'import json, time\nprint(json.dumps({"name": "a", "url": "s3://a", "kind": "s3", "there": '
        'True, "wanted": 1, "found": 1}), flush=True)\ntime.sleep(60)\n'
    )
    monkeypatch.setattr(remotes, "PROBE", slow)
    monkeypatch.setattr(remotes, "SECONDS", 2.0)
    first, second = remote_findings(tmp_path)
    assert first.level == "ok"
    assert "number 2" in second.text
    assert "no answer within 2 s" in second.text


def test_no_remote_and_a_repository_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    silent = tmp_path / "silent.py"
    silent.write_text("")
    monkeypatch.setattr(remotes, "PROBE", silent)
    [found] = remote_findings(tmp_path)
    assert (found.level, found.text) == ("note", "none")
    assert "dvc remote add -d NAME" in found.next
    silent.write_text("raise SystemExit('not here')")
    [found] = remote_findings(tmp_path)
    assert (found.level, found.text) == ("bad", "cannot be tried: not here")
