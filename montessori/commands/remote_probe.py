"""Tries the remotes of the DVC repository in the working directory: a program of its own.

`montessori doctor` runs it with a limit of time, which no library of a remote keeps by itself. It
lists and never writes. Each line that it prints is JSON of one remote.
"""

import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

SAMPLE = 5  # objects of dvc.lock that are looked for


def main() -> None:
    """Print a line of JSON for each remote: what `_try_remote` says, with its name."""
    from dvc.repo import Repo

    with Repo() as repo:
        for name in repo.config["remote"]:
            line = json.dumps({"name": name, **_try_remote(repo, name)})
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _try_remote(repo: Any, name: str) -> dict[str, Any]:
    """`found` of `wanted` objects of dvc.lock, and what to remove where one is not whole (`cut`).

    Instead of them `error`: types and texts of a chain of errors, outermost first.
    """
    facts: dict[str, Any] = {}
    try:
        facts["url"] = repo.config["remote"][name]["url"]
        remote = repo.cloud.get_remote(name)
        facts["kind"] = remote.fs.protocol
        remote.fs.ls(remote.fs.parent(remote.path))  # a bucket, or the folder of the folder
        facts["there"] = remote.fs.exists(remote.path)
        wanted = list(islice(_wanted_objects(repo), SAMPLE))
        paths = [remote.odb.oid_to_path(one) for one in wanted]
        facts |= {"wanted": len(wanted), "found": sum(map(remote.fs.exists, paths))}
        return facts | {"cut": list(_list_cut(repo, remote)) if facts["found"] else []}
    except Exception as error:  # noqa: BLE001 (of whatever library the remote needs)
        return facts | {"error": list(_list_causes(error))}


def _wanted_objects(repo: Any) -> Iterator[str]:
    """The hashes of outputs of dvc.lock that `dvc push` sends."""
    for out in repo.index.outs:
        if out.use_cache and out.can_push and out.hash_info.value:
            yield out.hash_info.value


def _list_cut(repo: Any, remote: Any) -> Iterator[str]:
    """Objects of another size than in the cache here: SSH and WebDAV write under the last name.

    A push that was ended leaves them. DVC looks at names, and for the files of a folder only at the
    name of the folder's list, so each is followed by the lists (.dir) that it is in.
    """
    lists = [one for one in _wanted_objects(repo) if one.endswith(".dir")]
    for path, size in _list_sizes(remote):
        try:
            oid = remote.odb.path_to_oid(path)
        except ValueError:  # no object
            continue
        here = repo.cache.local.oid_to_path(oid)
        if size is not None and os.path.isfile(here) and os.stat(here).st_size != size:
            yield path
            held = [one for one in lists if _holds(repo.cache.local.oid_to_path(one), oid)]
            yield from map(remote.odb.oid_to_path, held)


def _list_sizes(remote: Any) -> Iterator[tuple[str, int | None]]:
    """Every object of a remote with its bytes, as far as the server tells them."""
    found = remote.fs.fs.find(remote.odb.path, detail=True)
    if isinstance(found, dict):
        yield from ((path, info.get("size")) for path, info in found.items())
    else:  # DVC's own class for folders gives paths alone
        yield from ((path, os.stat(path).st_size) for path in found)


def _holds(path: str, oid: str) -> bool:
    """Whether a folder's list in the cache names an object."""
    return os.path.isfile(path) and oid in Path(path).read_text(encoding="utf-8")


def _list_causes(error: BaseException) -> Iterator[list[str]]:
    cause: BaseException | None = error
    while cause is not None:
        yield [type(cause).__name__, str(cause)]
        cause = cause.__cause__ or cause.__context__


if __name__ == "__main__":
    main()
