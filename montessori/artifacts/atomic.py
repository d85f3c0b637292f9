"""Files that are there whole or not at all, also after a kill: the one atomic write.

Only the standard library is needed, so that a stage's runtime is recorded whatever is installed.
"""

import glob
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from montessori.artifacts.halves import mend_text


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; synced and renamed to it, or removed on an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    try:
        yield temporary
        sync_to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_to_disk(path.parent)


def partial_path(path: Path) -> Path:
    """Where this process makes what becomes `path`; no other process does."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def sweep_partial(paths: Iterable[Path]) -> None:
    """Remove what processes that are gone left half-made beside these paths.

    This process has made nothing there yet: what has its number is of an earlier one, as in
    containers, where numbers repeat.
    """
    for path in paths:
        for stray in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            process = stray.name.removesuffix(".partial").rpartition(".")[2]
            if process.isdecimal() and not _is_another(int(process)):
                shutil.rmtree(stray) if stray.is_dir() else stray.unlink(missing_ok=True)


def _is_another(process: int) -> bool:
    """Whether a process of this number runs, and is not this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, atomically; U+FFFD stands for half of a character."""
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(mend_text(text)[0], encoding="utf-8")


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
