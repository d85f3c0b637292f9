"""Files that are there whole or not at all, also after a kill: the one atomic write.

Only the standard library is needed, so that a stage's runtime is recorded whatever is installed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from montessori.artifacts.halves import mend_text


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; synced and renamed to it, or removed on an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        sync_to_disk(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_to_disk(path.parent)


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
