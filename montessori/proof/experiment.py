"""One DVC experiment in a temporary copy of the repository, and what git keeps of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from montessori.errors import MontessoriError
from montessori.proof.experiments import Experiment

IDENTITY = {"NAME": "montessori", "EMAIL": "montessori@localhost"}


def start(
    root: Path, experiment: Experiment, log: Path, threads: int, lock: int
) -> subprocess.Popen[bytes]:
    """Start `dvc exp run --temp` for an experiment; its output goes to `log`.

    Finished stages come back from DVC's run cache, so starting again after a kill repeats only
    the stage that was cut off. The process inherits the file descriptor `lock`, so that the lock
    stays taken while it lives, and leads a process group of its own.
    """
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", experiment.name]
    for override in experiment.overrides:
        command += ["-S", override]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as handle:
        return subprocess.Popen(
            command,
            cwd=root,
            env=_environment(root, threads),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _environment(root: Path, threads: int) -> dict[str, str]:
    """This process's environment with its interpreter first on PATH and a git identity."""
    environment = dict(os.environ)
    # not resolve(): the link in a virtual environment's bin is what stages must find
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment.update(OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
    environment["DVC_NO_ANALYTICS"] = "1"
    if not git(root, "config", "user.email", check=False).strip():
        for role in ("AUTHOR", "COMMITTER"):
            for part, value in IDENTITY.items():
                environment.setdefault(f"GIT_{role}_{part}", value)
    return environment


def git(root: Path, *arguments: str, check: bool = True) -> str:
    """The output of a git command. Raises MontessoriError with git's own words if it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if check and done.returncode:
        raise MontessoriError(
            f"git {arguments[0]} failed: {done.stderr.strip()}",
            where=str(root),
            next="git status",
        )
    return done.stdout


WATCHED = ("montessori", "stages", "profiles", "data/micro", "params.yaml", "dvc.yaml")


def check_repository(root: Path) -> None:
    """What an experiment runs on must be committed, so that its commit says what it was.

    Raises:
        MontessoriError: no commit yet; code, data or settings that differ from it.
    """
    if not git(root, "rev-parse", "--verify", "-q", "HEAD", check=False).strip():
        raise MontessoriError(
            "the repository has no commit, and DVC experiments start from one",
            where=str(root),
            next="git add -A && git commit -m 'start'",
        )
    present = [name for name in WATCHED if (root / name).exists()]
    changed = git(root, "status", "--porcelain", "--untracked-files=all", "--", *present)
    names = [line[3:] for line in changed.splitlines()]
    if names:
        raise MontessoriError(
            f"{len(names)} files that decide the result are not committed",
            where=", ".join(names[:5]) + (", ..." if len(names) > 5 else ""),
            expected="a proof of what is in git",
            next="git diff, then git commit what is meant (or git checkout what is not)",
        )


def finished(root: Path) -> dict[str, str]:
    """Names of the finished experiments of the proof and the git reference of each."""
    references = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    return {
        reference.rpartition("/")[2]: reference
        for reference in references
        if reference.rpartition("/")[2].startswith("proof-")
    }


def read_files(root: Path, reference: str, suffixes: tuple[str, ...]) -> Mapping[str, str]:
    """The texts below metrics/ in an experiment's commit, by path, for the suffixes given."""
    names = git(root, "ls-tree", "-r", "--name-only", reference, "metrics/").split("\n")
    wanted = [name for name in names if name.endswith(suffixes)]
    return {name: git(root, "show", f"{reference}:{name}") for name in wanted}


def commit_date(root: Path, reference: str) -> str:
    """When a commit was made, in UTC: 2026-11-22T10:10:23Z."""
    text = git(root, "show", "--no-patch", "--format=%cI", reference).strip()
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_copy(log: Path) -> bool:
    """Whether an experiment works in its temporary copy and no longer touches the working tree."""
    return "Reproducing experiment" in log.read_text(encoding="utf-8", errors="replace")


def stages_done(log: Path) -> int:
    """How many stages an experiment has run, taken from the cache or skipped so far."""
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = ("Running stage", "Stage '")
    return sum(line.startswith(starts) for line in lines)


def remove_leftovers(root: Path) -> int:
    """Delete the temporary copies of killed experiments of the proof; how many there were.

    Only to be called under the proof's lock, when no experiment of it can be alive.
    """
    removed = 0
    folder = root / ".dvc" / "tmp" / "exps"
    for path in folder.glob("run/*/*.run"):
        info = json.loads(path.read_text(encoding="utf-8"))
        copy = Path(info.get("root_dir") or folder)
        own = str(info.get("name", "")).startswith("proof-")
        if own and copy.parent == (folder / "standalone").resolve() and copy.is_dir():
            shutil.rmtree(copy)
            removed += 1
    return removed
