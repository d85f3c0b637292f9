"""Two clones and a remote of each kind, on real servers; and what `doctor` says of a broken one.

What would break: whoever takes over another's work from a bucket or a server computes it again or
gets other bytes, or a remote that is down, empty or refuses the key is called fine.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from montessori.commands.findings import Finding
from montessori.commands.remotes import remote_findings
from tests.pipeline.remote_servers import SERVERS, Clone, Remote, clone_of, make_toy

pytestmark = pytest.mark.slow


@pytest.fixture
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    """A running server of the kind that the test names; `close` ends it."""
    serve, packages = SERVERS[request.param]
    for package in packages:
        pytest.importorskip(package, reason=f"{package} is not installed; next: make setup")
    with ExitStack() as stack:
        opened = stack.enter_context(serve(tmp_path / "server"))
        opened.close = stack.close
        yield opened


every = pytest.mark.parametrize("remote", list(SERVERS), indirect=True)
only = {kind: pytest.mark.parametrize("remote", [kind], indirect=True) for kind in SERVERS}


def take_over(clone: Clone) -> list[str]:
    """What README says for the results of others; returns the stages that ran."""
    clone.run("git", "pull", "--quiet")
    clone.run("dvc", "checkout", "--allow-missing")
    return clone.repro("--pull", "--allow-missing")


def examine(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> Finding:
    """What `montessori doctor` says of the clone's remote."""
    for name, value in clone.remote.environment.items():
        monkeypatch.setenv(name, value)
    [finding] = remote_findings(clone.root)
    assert finding.level == "ok" or finding.next, finding
    return finding


# ------------------------------------------------------------------------------- the day's work
@every
def test_two_clones_share_what_they_ran(remote, tmp_path: Path, monkeypatch):
    first = make_toy(tmp_path, remote)
    assert "is empty" in examine(first, monkeypatch).text
    first.run("dvc", "push", "--run-cache")
    found = examine(first, monkeypatch)
    assert (found.level, found.next) == ("ok", ""), found
    second = clone_of(first)
    assert take_over(second) == []
    second.set_param("prefs", 2)
    assert second.repro("--pull", "--allow-missing", "teacher") == ["prefs", "teacher"]
    second.commit("other pairs")
    second.run("git", "push", "--quiet")
    second.run("dvc", "push", "--run-cache")
    assert take_over(first) == []
    first.run("dvc", "pull", "--allow-missing")
    second.run("dvc", "pull", "--allow-missing")
    assert first.read_data() == second.read_data()
    assert b"prefs 2" in first.read_data()["data/prefs/0"]
    assert first.run("git", "status", "--porcelain") == ""


@only["folder"]
def test_an_experiment_of_another_clone(remote, tmp_path: Path):
    """`dvc exp apply` ends with an error for what is never pushed; all else is then in place."""
    first = make_toy(tmp_path, remote)
    first.run("dvc", "push")
    first.run("dvc", "exp", "run", "--quiet", "--name", "two", "-S", "warmup=2", "-S", "prefs=2")
    made = first.read_data()
    first.run("dvc", "exp", "push", "origin", "two")
    second = clone_of(first)
    second.run("dvc", "exp", "pull", "origin", "two")
    with pytest.raises(AssertionError, match="Checkout failed for following targets:\ndata/warmup"):
        second.run("dvc", "exp", "apply", "two")
    assert second.read_data() == made
    second.run("dvc", "repro", "warmup")  # the same moments again
    assert second.run("dvc", "status").strip() == "Data and pipelines are up to date."
    second.set_param("influence", 2)
    assert second.repro() == ["influence"]


# -------------------------------------------------------------------------------------- faults
@every
def test_a_server_that_is_down(remote, tmp_path: Path, monkeypatch):
    first = make_toy(tmp_path, remote)
    first.run("dvc", "push")
    if not remote.url.startswith("/"):
        remote.close()
    else:
        Path(remote.url).rename(tmp_path / "unmounted")
    found = examine(first, monkeypatch)
    assert found.level == ("note" if remote.url.startswith("/") else "bad")  # a push would make it
    wanted = "its folder is not there" if remote.url.startswith("/") else "cannot be reached"
    assert wanted in found.text


@pytest.mark.parametrize("remote", ["s3", "ssh", "webdav"], indirect=True)
def test_a_key_that_is_refused(remote, tmp_path: Path, monkeypatch):
    first = make_toy(tmp_path, remote)
    if remote.url.startswith("s3"):
        refuse_keys(remote.settings["endpointurl"])
    elif remote.url.startswith("ssh"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")],
            check=True,
        )
        remote.settings["keyfile"] = str(tmp_path / "other")
    else:
        remote.settings["password"] = "wrong"
    first.add_remote()
    found = examine(first, monkeypatch)
    assert found.level == "bad"
    assert "refuses the key" in found.text
    assert "wrong" not in found.text


def refuse_keys(url: str) -> None:
    """Have moto compare keys from now on (docs.getmoto.org, IAM-like access control)."""
    import urllib.request

    request = urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=b"0", headers={"content-type": "text/plain"}
    )
    urllib.request.urlopen(request).read()


@only["s3"]
def test_no_key_at_all(remote, tmp_path: Path, monkeypatch):
    first = make_toy(tmp_path, remote)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    remote.environment = {}
    found = examine(first, monkeypatch)
    assert "refuses the key or has none" in found.text
    assert "AWS_ACCESS_KEY_ID" in found.next


@only["s3"]
def test_a_bucket_that_is_missing(remote, tmp_path: Path, monkeypatch):
    remote.url = "s3://no-such-bucket/store"
    found = examine(make_toy(tmp_path, remote), monkeypatch)
    assert "names no bucket that exists" in found.text


@pytest.mark.parametrize("remote", ["ssh", "webdav"], indirect=True)
def test_a_folder_on_the_server_that_is_missing(remote, tmp_path: Path, monkeypatch):
    for path in [*tmp_path.glob("server/store"), *tmp_path.glob("server/dav/store")]:
        path.rmdir()
    found = examine(make_toy(tmp_path, remote), monkeypatch)
    assert "folder" in found.text
    assert "create the folder" in found.next


@only["ssh"]
def test_a_key_file_that_is_missing(remote, tmp_path: Path, monkeypatch):
    remote.settings["keyfile"] = str(tmp_path / "no-such-key")
    found = examine(make_toy(tmp_path, remote), monkeypatch)
    assert "no-such-key" in found.text


@only["folder"]
def test_a_push_that_was_killed_or_lost_an_object_is_pushed_again(
    remote, tmp_path: Path, monkeypatch
):
    first = make_toy(tmp_path, remote)
    push = subprocess.Popen(["dvc", "push"], cwd=first.root, env=first.environment)
    store = Path(remote.url)
    while push.poll() is None and not any(store.rglob("*")):
        pass
    push.kill()
    push.wait()
    first.run("dvc", "push")
    lost = next(store.rglob("*.dir"))
    lost.unlink()
    assert examine(first, monkeypatch).next.startswith("dvc push")
    first.run("dvc", "push")
    assert examine(first, monkeypatch).level == "ok"
    second = clone_of(first)
    assert take_over(second) == []


@only["ssh"]
def test_an_object_that_a_killed_push_left_half_is_named(remote, tmp_path: Path, monkeypatch):
    """SFTP writes under the last name, and DVC takes what has a name for whole."""
    first = make_toy(tmp_path, remote)
    first.run("dvc", "push")
    objects = [path for path in (tmp_path / "server/store").rglob("*") if path.is_file()]
    half = next(path for path in objects if path.suffix != ".dir")
    half.write_bytes(half.read_bytes()[:3])
    first.run("dvc", "push")
    assert half.stat().st_size == 3
    found = examine(first, monkeypatch)
    assert "objects are not whole" in found.text
    for path in found.next.partition("remove ")[2].partition(" there")[0].split():
        Path(path).unlink()
    first.run("dvc", "push")
    assert half.stat().st_size > 3
    assert examine(first, monkeypatch).level == "ok"


@only["webdav"]
def test_a_remote_that_is_full_is_pushed_to_again(remote, tmp_path: Path, monkeypatch):
    first = make_toy(tmp_path, remote)
    full = tmp_path / "server" / "full"
    full.touch()
    with pytest.raises(AssertionError, match="507|Insufficient|failed to"):
        first.run("dvc", "push")
    full.unlink()
    first.run("dvc", "push")
    assert examine(first, monkeypatch).level == "ok"


@only["folder"]
def test_a_changed_object_is_found_by_a_remote_that_is_verified(remote, tmp_path: Path):
    first = make_toy(tmp_path, remote)
    first.run("dvc", "push")
    objects = [path for path in Path(remote.url).rglob("*") if path.is_file()]
    changed = next(path for path in objects if path.read_text().startswith("base"))
    changed_name = changed.parent.name + changed.name
    changed.chmod(0o644)
    changed.write_text(changed.read_text().upper())
    second = clone_of(first)
    second.run("dvc", "remote", "modify", "--local", "shared", "verify", "true")
    with pytest.raises(AssertionError, match="Checkout failed for following targets:\ndata/base"):
        second.run("dvc", "pull", "base")
    # what the page says: remove it and the list of its folder, and push where they are whole
    changed.unlink()
    next(
        path for path in objects if path.suffix == ".dir" and changed_name in path.read_text()
    ).unlink()
    first.run("dvc", "push")
    second.run("dvc", "pull", "base")
    assert (second.root / "data/base/0").read_bytes() == (first.root / "data/base/0").read_bytes()
