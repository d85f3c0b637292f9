"""One DVC experiment in a temporary copy of the repository, and what git keeps of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from montessori.errors import MontessoriError
from montessori.proof.experiments import Experiment, find_paths

IDENTITY = {"NAME": "montessori", "EMAIL": "montessori@localhost"}


def start_experiment(
    root: Path, experiment: Experiment, log: Path, threads: int, lock: int
) -> subprocess.Popen[bytes]:
    """Start `dvc exp run --temp` for an experiment; its output goes to `log`.

    After a kill, a new start repeats only the interrupted stage: DVC's run cache has the finished
    ones. The process inherits the file descriptor `lock`, so the lock is held as long as it lives.
    It leads a process group of its own, which can be stopped as a whole.
    """
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", experiment.name]
    for override in experiment.overrides:
        command += ["-S", override]
    for path in _find_own_inputs(root, experiment):
        command += ["--copy-paths", path]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as handle:
        return subprocess.Popen(
            command,
            cwd=root,
            env=_process_environment(root, threads),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            start_new_session=True,
        )


def _find_own_inputs(root: Path, experiment: Experiment) -> list[str]:
    """The files and folders that the params name and that are in neither git nor DVC.

    An experiment runs in a copy of what git and DVC have; benchmarks that one has fetched, for one,
    are in none of the two.
    """
    named = {path for path in find_paths(experiment.params) if (root / path).exists()}
    known_to_dvc = {path for path in named if (root / f"{path.rstrip('/')}.dvc").exists()}
    return sorted(
        path.rstrip("/")
        for path in named - known_to_dvc
        if not Path(path).is_absolute() and not run_git(root, "ls-files", "--", path).strip()
    )


def _process_environment(root: Path, threads: int) -> dict[str, str]:
    """This process's environment, with its interpreter first on PATH and with a git identity."""
    environment = dict(os.environ)
    # not resolve(): stages must find the link in the virtual environment's bin
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # Passive: experiments share the cores, so a waiting thread should sleep rather than spin.
    environment.update(OMP_NUM_THREADS=str(threads), OMP_WAIT_POLICY="passive")
    environment["DVC_NO_ANALYTICS"] = "1"
    # DVC commits each experiment, and git refuses to commit without an identity.
    if not run_git(root, "config", "user.email", check=False).strip():
        for role in ("AUTHOR", "COMMITTER"):
            for part, value in IDENTITY.items():
                environment.setdefault(f"GIT_{role}_{part}", value)
    return environment


def run_git(root: Path, *arguments: str, check: bool = True) -> str:
    """Run a git command and return its output. Raises MontessoriError if it fails."""
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
    """Check that everything that decides the result is committed, so that it can be repeated.

    Raises:
        MontessoriError: no commit yet; code, data or settings that differ from the last one.
    """
    if not run_git(root, "rev-parse", "--verify", "-q", "HEAD", check=False).strip():
        raise MontessoriError(
            "the repository has no commit; DVC experiments start from one",
            where=str(root),
            next="git add -A && git commit -m 'start'",
        )
    present = [name for name in WATCHED if (root / name).exists()]
    changed = run_git(root, "status", "--porcelain", "--untracked-files=all", "--", *present)
    # In this format two letters and a blank come before the name.
    names = [line[3:] for line in changed.splitlines()]
    if names:
        raise MontessoriError(
            f"{len(names)} files that decide the result are not committed",
            where=", ".join(names[:5]) + (", ..." if len(names) > 5 else ""),
            expected="a proof of what is in git",
            next="git diff, then git commit the changes (or git checkout to drop them)",
        )


def find_finished(root: Path) -> dict[str, str]:
    """Map each finished experiment of the proof to its git reference."""
    finished = {}
    for reference in run_git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split():
        name = reference.rpartition("/")[2]
        if name.startswith("proof-"):
            finished[name] = reference
    return finished


def read_files(root: Path, reference: str, suffixes: tuple[str, ...]) -> Mapping[str, str]:
    """Read the files below metrics/ in an experiment's commit that have one of the suffixes."""
    names = run_git(root, "ls-tree", "-r", "--name-only", reference, "metrics/").split("\n")
    wanted = [name for name in names if name.endswith(suffixes)]
    return {name: run_git(root, "show", f"{reference}:{name}") for name in wanted}


def commit_date(root: Path, reference: str) -> str:
    """When a commit was made, in UTC: 2026-11-22T10:10:23Z."""
    text = run_git(root, "show", "--no-patch", "--format=%cI", reference).strip()
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def has_copy(log: Path) -> bool:
    """Whether an experiment has its temporary copy and no longer touches the working tree."""
    return "Reproducing experiment" in log.read_text(encoding="utf-8", errors="replace")


def stages_done(log: Path) -> int:
    """Count the stages that an experiment has run, found in the cache or skipped so far."""
    if not log.exists():
        return 0
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = ("Running stage", "Stage '")
    return sum(line.startswith(starts) for line in lines)


def remove_leftovers(root: Path) -> int:
    """Delete the temporary copies of killed experiments of the proof; returns their number.

    Call it only under the proof's lock, when none of its experiments can be alive.
    """
    removed = 0
    folder = root / ".dvc" / "tmp" / "exps"
    for path in folder.glob("run/*/*.run"):
        info = json.loads(path.read_text(encoding="utf-8"))
        copy = Path(info.get("root_dir") or folder)
        # Experiments that a user started in the same repository are left alone.
        own = str(info.get("name", "")).startswith("proof-")
        if own and copy.parent == (folder / "standalone").resolve() and copy.is_dir():
            shutil.rmtree(copy)
            removed += 1
    return removed
