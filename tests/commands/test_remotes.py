"""What `montessori doctor` says of a remote, by what the libraries of remotes raise.

What would break: a remote that is empty, down or refuses the key is called fine, or is named
without the command that leads on, or with a password.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from montessori.commands import remote_probe, remotes
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


def test_a_remote_without_the_outputs_of_the_lock_is_noted():
    found = describe_remote(tried(S3, found=0))
    assert found.level == "note"
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
    assert (found.level, found.next[:15]) == ("bad", "mkdir -p /store")
    found = describe_remote(tried(there=False, makeable=True, found=0))
    assert (found.level, found.next[:20]) == ("note", "dvc push --run-cache")
    monkeypatch.setattr(remotes, "GIB", 1e18)
    found = describe_remote(tried(str(tmp_path), found=5))
    assert "GiB free" in found.text


def test_passwords_in_addresses_are_not_shown():
    assert hide_user("webdav://me:secret@host/store") == "webdav://host/store"
    found = describe_remote(
        tried("webdav://me:secret@host/store", error=[["X", "at //me:secret@h"]])
    )
    assert "secret" not in found.text + found.next


PROBE = """
import json, sys, time
assert not sys.stdin.read()
if not sys.argv[1:]:
    for name in ("dead", "large", "whole"):
        print(json.dumps({"name": name}))
    sys.exit()
if sys.argv[1] == "dead":
    time.sleep(60)
print(json.dumps({"name": sys.argv[1], "url": "s3://a", "kind": "s3", "there": True,
                  "wanted": 1, "found": 1}), flush=True)
if sys.argv[1] == "large":
    time.sleep(60)
print(json.dumps({"cut": []}))
"""


def test_what_hangs_is_named_and_the_rest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "slow.py").write_text(PROBE)
    monkeypatch.setattr(remotes, "PROBE", tmp_path / "slow.py")
    monkeypatch.setattr(remotes, "SECONDS", 2.0)
    dead, large, whole = remote_findings(tmp_path)
    assert dead.level == "bad"
    assert "dead gives no answer within 2 s" in dead.text
    assert large.level == "note"
    assert "answers" in large.text
    assert "not all objects were compared" in large.text
    assert whole.level == "ok"


class Store:
    """A remote of whose file system only what DVC needs may be asked."""

    def __init__(self, protocol: str, path: str):
        self.protocol, self.path, self.fs, self.odb, self.asked = protocol, path, self, self, []

    def exists(self, path: str) -> bool:
        return False

    def call_s3(self, method: str, **named: str) -> None:
        self.asked.append((method, named))

    def parent(self, path: str) -> str:
        return path.rpartition("/")[0]

    def info(self, path: str) -> None:
        self.asked.append(("info", path))

    def ls(self, path: str) -> None:
        raise PermissionError("ListAllMyBuckets")


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ("s3", "bucket", ("head_bucket", {"Bucket": "bucket"})),
        ("s3", "bucket/team/store", ("head_bucket", {"Bucket": "bucket"})),
        ("ssh", "/data/store", ("info", "/data")),
    ],
)
def test_no_more_is_asked_of_a_new_remote_than_dvc_needs(kind: str, path: str, asked: tuple):
    store = Store(kind, path)
    repo = SimpleNamespace(
        config={"remote": {"new": {"url": path}}},
        cloud=SimpleNamespace(get_remote=lambda name: store),
        index=SimpleNamespace(outs=[]),
    )
    facts = remote_probe._try_remote(repo, "new")
    assert "error" not in facts, facts
    assert store.asked == [asked]


def test_a_remote_by_http_is_only_read():
    found = describe_remote({"name": "a", "url": "https://host/store", "kind": "https"})
    assert found.level == "note"
    assert "read-only: nothing can be tried but a download" in found.text


def test_the_innermost_text_is_told():
    chain = [["A", "outer"], ["B", "the cause; all of it"], ["C", ""]]
    assert "fails: the cause; all of it" in describe_remote(tried(SSH, error=chain)).text


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
