"""`montessori shard`: several processes or machines share the parts of one stage."""

import shlex
import subprocess
import sys
from pathlib import Path

from montessori.errors import MontessoriError
from montessori.pipeline.parts import Shard


def run_shard(root: Path, target: str, text: str) -> int:
    """Run the command of DVC stage `target` with `--shard text`; returns its exit status.

    Raises MontessoriError for a malformed shard, a target that is not in dvc.yaml, and a stage
    whose parts cannot be shared.
    """
    Shard.parse(text)
    command = shlex.split(_stage_command(root, target))
    if not _shares_parts(command, root):
        raise MontessoriError(
            f"the stage {target} has no parts that processes can share",
            where="dvc.yaml",
            expected="a stage influence@...",
            next=f"dvc repro {target}",
        )
    command[0] = sys.executable
    return subprocess.run([*command, "--shard", text], cwd=root, check=False).returncode


def _stage_command(root: Path, target: str) -> str:
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            (stage,) = repo.stage.collect(target)
            return str(stage.cmd)
    except (DvcException, ValueError) as error:
        raise MontessoriError(
            f"no single stage is called {target!r}: {error}",
            where="dvc.yaml",
            next="dvc stage list",
        ) from error


def _shares_parts(command: list[str], root: Path) -> bool:
    """Whether the help of the stage's script lists the option --shard."""
    help_command = [sys.executable, *command[1:3], "--help"]
    result = subprocess.run(help_command, cwd=root, capture_output=True, text=True)
    return "--shard" in result.stdout
