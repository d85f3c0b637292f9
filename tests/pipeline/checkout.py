"""A small copy of the repository in which the whole pipeline runs within a minute or so."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
MINI = ROOT / "tests" / "profiles" / "mini.yaml"
MODELS = tuple(ROOT / "data" / "micro" / name for name in ("teacher", "llama", "qwen"))
EVAL_ITEMS = 24  # of each benchmark
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Test"), ("EMAIL", "test@example.org"))
}


class Checkout:
    """A git repository with the pipeline in it, and the commands a user types there.

    `ran` names the stages that its first `dvc repro` ran, in order.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user who types `make`."""
        bin_folder = str(Path(sys.executable).parent)
        added = {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        path = os.pathsep.join([bin_folder, os.environ["PATH"]])
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        return kept | added | IDENTITY | {"PATH": path, "PYTHONPATH": ""}

    def run(self, *command: str) -> str:
        """Output of a command; an AssertionError that shows it where the command fails."""
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=900,
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}"
        return done.stdout

    def repro(self, *options: str) -> list[str]:
        """`dvc repro`; returns the stages whose command ran, in order."""
        return re.findall(r"Running stage '([^']+)'", self.run("dvc", "repro", *options))

    def commit(self, message: str = "state") -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def restore(self) -> None:
        """Go back to the committed params, lock and metrics, with their outputs."""
        self.run("git", "reset", "--quiet", "--hard")
        self.run("git", "clean", "--quiet", "--force", "-d")
        self.run("dvc", "checkout", "--quiet")

    def change(self, changes: Mapping[str, Any]) -> None:
        """Merge nested changes into params.yaml."""
        yaml, path = YAML(), self.root / "params.yaml"
        params = yaml.load(path)
        merge(params, changes)
        yaml.dump(params, path)

    def stale(self) -> set[str]:
        """The stages that `dvc status` calls changed, and all that follow from them."""
        changed = json.loads(self.run("dvc", "status", "--json"))
        return followers(self.root, changed)


def followers(root: Path, stages: Iterable[str]) -> set[str]:
    """The named stages and every stage that depends on them, directly or not."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        graph = repo.index.graph  # edges lead from a stage to what it depends on
        by_name = {stage.name: stage for stage in graph}
        found = set(stages)
        for name in stages:
            found |= {stage.name for stage in networkx.ancestors(graph, by_name[name])}
    return found


def merge(old: Any, new: Mapping[str, Any]) -> None:
    """Merge nested mappings in place."""
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(old.get(key), Mapping):
            merge(old[key], value)
        else:
            old[key] = value


def make_checkout(root: Path) -> Checkout:
    """A committed repository of this working tree's files with the mini settings."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        # Results of this working tree are not part of the small one.
        if name.startswith("metrics/") or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shrink(root)
    checkout = Checkout(root)
    checkout.run("git", "init", "--quiet", "--initial-branch", "main")
    (root / ".dvc" / "config.local").unlink(missing_ok=True)
    checkout.commit("mini")
    return checkout


def shrink(root: Path) -> None:
    """Few rows, one round: the settings of mini.yaml, small eval sets, no second round."""
    yaml, path = YAML(), root / "params.yaml"
    params = yaml.load(path)
    for section in params.values():
        if isinstance(section, dict):
            section.pop("montessori-2", None)
    merge(params, yaml.load(MINI))
    yaml.dump(params, path)
    source = root / params["sources"]["evals"]
    recipe = json.loads(source.read_text())
    recipe["items"] = dict.fromkeys(recipe["items"], EVAL_ITEMS)
    source.write_text(json.dumps(recipe, indent=1))
