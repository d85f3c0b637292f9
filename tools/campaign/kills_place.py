"""Where kills happen: the small pipeline of the tests, run once, with the code of this project."""

from __future__ import annotations

import hashlib
import os
import pkgutil
import shutil
import subprocess
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from montessori.pipeline import startup
from tests.pipeline.checkout import IDENTITY, Checkout, make_checkout
from tools.campaign.kills_tree import Tree

ROOT = Path(__file__).resolve().parents[2]
CODE = ("montessori", "stages", "profiles")
#: With other files of these a small pipeline is made anew.
SETTINGS = ("dvc.yaml", "params.yaml", "data/micro", "tests/profiles", "tests/pipeline/checkout.py")
#: Threads that a fork may lose: they give memory back, and sweep what polars spills to disk.
HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}
LARGE = ("torch", "transformers", "polars", "peft", "trl.trainer.dpo_trainer")
LARGE_TOO = ("trl.trainer.sft_trainer", "datasets", "dvc.cli", "dvc.commands.repro")


def prepare_place(work: Path) -> Tree:
    """The small pipeline in `work`/mini, with its outputs; made where it is not there yet.

    If only code of the project has changed since, the code is renewed and the outputs stay: the
    undisturbed run of each target shows whether they are still right.
    """
    tree, note = Tree(work / "mini", work / "keep"), work / "settings.txt"
    settings = digest_files(SETTINGS)
    if not note.is_file() or note.read_text() != settings:
        _make_place(tree.root)
        note.write_text(settings)
    elif tree.keep.is_dir():  # an earlier call may have been stopped within a kill
        tree.first = Tree(tree.keep, work).scan()
        tree.restore()
    _renew_code(Checkout(tree.root))
    tree.keep_copy()
    return tree


def _make_place(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    made = make_checkout(place)
    # no limit of time, as `made.repro()` has: the machine may be busy with something else
    subprocess.run(["dvc", "repro", "--quiet"], cwd=place, env=made.environment, check=True)
    made.commit("results")


def digest_files(tops: Iterable[str], root: Path = ROOT) -> str:
    """A digest of the files below some paths of the project."""
    digest = hashlib.sha256()
    for path in _files(tops, root):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _files(tops: Iterable[str], root: Path) -> list[Path]:
    found = [path for top in tops for path in [root / top, *sorted((root / top).rglob("*"))]]
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def _renew_code(checkout: Checkout) -> None:
    if digest_files(CODE) == digest_files(CODE, checkout.root):
        return
    for top in CODE:
        shutil.rmtree(checkout.root / top)
        shutil.copytree(
            ROOT / top, checkout.root / top, ignore=shutil.ignore_patterns("__pycache__")
        )
    checkout.run("dvc", "repro", "--single-item", "code")
    checkout.run("dvc", "commit", "--force", "--quiet")
    checkout.commit("code")


def import_libraries() -> None:
    """Import what stages import, so that forked commands need not.

    Raises RuntimeError if a library has started threads, which would be missing after a fork.
    """
    os.environ |= {**IDENTITY, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1"}
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}
    startup.set_environment("probe")
    startup.hide_unused_libraries()
    for name in (*LARGE, *LARGE_TOO):
        import_module(name)
    import montessori

    for found in pkgutil.walk_packages(montessori.__path__, "montessori."):
        if "vllm" not in found.name:
            import_module(found.name)
    threads = _list_threads() - HARMLESS
    if threads:
        raise RuntimeError(f"threads after the imports: {threads}; forked commands could hang")


def _list_threads() -> set[str]:
    """Names of this process's threads other than the main one."""
    main = str(os.getpid())
    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != main]
    return {(task / "comm").read_text().strip() for task in tasks}


def read_code_version() -> str:
    """The commit of this project, with a plus where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
