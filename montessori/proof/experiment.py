"""One DVC experiment in a temporary copy of the repository, and what git keeps of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from montessori.errors import MontessoriError

from .plan import Experiment

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


def check_repository(root: Path) -> None:
    """Experiments start from a commit and see only files that git knows.

    Raises:
        MontessoriError: no commit yet, or code, data or settings that git does not track.
    """
    if not git(root, "rev-parse", "--verify", "-q", "HEAD", check=False).strip():
        raise MontessoriError(
            "the repository has no commit, and DVC experiments start from one",
            where=str(root),
            next="git add -A && git commit -m 'start'",
        )
    watched = ["montessori", "stages", "profiles", "data/micro", "params.yaml", "dvc.yaml"]
    unknown = git(root, "ls-files", "--others", "--exclude-standard", "--", *watched).split("\n")
    unknown = [name for name in unknown if name]
    if unknown:
        raise MontessoriError(
            f"{len(unknown)} files are not in git, so experiments would run without them",
            where=", ".join(unknown[:5]),
            next=f"git add {' '.join(sorted({name.split('/')[0] for name in unknown}))}",
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
