"""The files of a project that the kill test looks at: scanned, put back, compared."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

#: What is not looked at: caches of tools, and the locks of stages, which stay by design.
SKIPPED = (".git", ".venv", ".dvc/cache", ".dvc/tmp", ".work/running", ".hypothesis")
#: Where only names count: times of runs, and what an unfinished stage keeps for the next start.
NAMES_ONLY = (".work", "metrics/runtime")
#: What stays for later stages, under names that depend on the order in which answers came.
KEPT = (".work/judge/paid",)
LOCKS = (".git/index.lock", ".git/HEAD.lock")
FOLDER = "folder"
SHOWN = 4  # paths of a list in a fault

Scan = Mapping[str, str]


class Tree:
    """The files below `root`, and a copy of them in `keep` from which they are put back."""

    def __init__(self, root: Path, keep: Path) -> None:
        self.root, self.keep = root, keep
        self._digests: dict[tuple[str, int, int, int], str] = {}
        self.first: Scan = {}

    def keep_copy(self) -> None:
        """Copy everything that is looked at; `restore` goes back to it."""
        shutil.rmtree(self.keep, ignore_errors=True)
        self.first = self.scan()
        for path, digest in self.first.items():
            self._put_back(path, digest)

    def scan(self) -> dict[str, str]:
        """What is there: a digest of each file, the target of each link, `folder`, by path."""
        return dict(self._look(""))

    def restore(self) -> None:
        """Make the tree what it was at `keep_copy`; a file in place is left if it is the same."""
        there = self.scan()
        for path in sorted(there.keys() - self.first.keys(), reverse=True):
            remove_path(self.root / path)
        for path, digest in self.first.items():
            if there.get(path) != digest:
                remove_path(self.root / path)
                self._copy_from_keep(path, digest)

    def _put_back(self, path: str, digest: str) -> None:
        copy_entry(self.root / path, self.keep / path, digest)

    def _copy_from_keep(self, path: str, digest: str) -> None:
        copy_entry(self.keep / path, self.root / path, digest)

    def _look(self, folder: str) -> Iterator[tuple[str, str]]:
        with os.scandir(self.root / folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path in SKIPPED or entry.name == "__pycache__":
                yield from self._find_locks(path)
                continue
            if entry.is_symlink():
                yield path, f"link to {os.readlink(entry.path)}"
            elif entry.is_dir():
                if not is_below(path, NAMES_ONLY):  # an empty folder there is nobody's litter
                    yield path, FOLDER
                yield from self._look(path)
            else:
                yield path, self._digest(path, entry)

    def _find_locks(self, path: str) -> Iterator[tuple[str, str]]:
        """Locks within what is not looked at that would stop the next command."""
        for lock in LOCKS:
            if is_below(lock, [path]) and (self.root / lock).exists():
                yield lock, ""

    def _digest(self, path: str, entry: os.DirEntry[str]) -> str:
        if is_below(path, NAMES_ONLY):
            return ""
        facts = entry.stat()
        known = (path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        if known not in self._digests:
            self._digests[known] = hashlib.sha256(Path(entry.path).read_bytes()).hexdigest()
        return self._digests[known]


def copy_entry(source: Path, target: Path, digest: str) -> None:
    """Copy a file, a link or a folder's name, as `digest` says which of them it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if digest == FOLDER:
        target.mkdir(exist_ok=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def remove_path(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def is_below(path: str, tops: Iterable[str]) -> bool:
    """Whether a path is one of `tops` or lies below one."""
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def part_of(scan: Scan, top: str) -> dict[str, str]:
    """The entries of a scan at or below a path."""
    return {path: digest for path, digest in scan.items() if is_below(path, [top])}


def find_half_outputs(scan: Scan, before: Scan, after: Scan, outs: Iterable[str]) -> list[str]:
    """Outputs that are neither as before the run nor as after it."""
    wanted = ((out, part_of(scan, out), part_of(before, out), part_of(after, out)) for out in outs)
    return [out for out, here, old, new in wanted if here not in (old, new)]


def compare_scans(scan: Scan, wanted: Scan) -> list[str]:
    """What is wrong with a tree after the rerun, in words: other bytes, missing, litter."""
    other = [path for path, digest in scan.items() if wanted.get(path, digest) != digest]
    missing = [path for path in wanted if path not in scan and not is_below(path, KEPT)]
    litter = [path for path in scan if path not in wanted and not is_below(path, KEPT)]
    named = (("other bytes", other), ("missing", missing), ("litter", litter))
    return [f"{kind}: {_shorten(paths)}" for kind, paths in named if paths]


def find_partial(scan: Scan) -> list[str]:
    """Temporary files and folders."""
    return [path for path in scan if path.endswith((".partial", ".trial", ".tmp"))]


def _shorten(paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more
