"""Tries a remote of the DVC repository in the working directory: a program of its own.

`montessori doctor` runs it with a limit of time, which no library of a remote keeps by itself. It
lists and never writes. Each line that it prints is JSON: without an argument, a line with the name
of each remote; with a name, a line of what is known at once, then one of objects that are not whole
(`cut`), for which the whole remote is listed.
"""

import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

SAMPLE = 5  # objects of dvc.lock that are looked for


def main(names: list[str]) -> None:
    """Print the lines for the remotes `names`; without any, the name of each remote."""
    from dvc.repo import Repo

    with Repo() as repo:
        if not names:
            for name in repo.config["remote"]:
                _print_line({"name": name})
        for name in names:
            facts = _try_remote(repo, name)
            _print_line({"name": name, **facts})
            if facts.get("found"):
                _print_line({"cut": list(_list_cut(repo, repo.cloud.get_remote(name)))})


def _print_line(facts: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _try_remote(repo: Any, name: str) -> dict[str, Any]:
    """`found` of `wanted` objects of dvc.lock; instead of them `error`, or neither by HTTP.

    `error` are types and texts of a chain of errors, outermost first. `makeable`: the folder is not
    there, and a push would make it.
    """
    facts: dict[str, Any] = {}
    try:
        facts["url"] = repo.config["remote"][name]["url"]
        remote = repo.cloud.get_remote(name)
        facts["kind"] = remote.fs.protocol
        if facts["kind"] in ("http", "https"):
            return facts
        facts["there"] = remote.fs.exists(remote.path)
        if not facts["there"]:
            _ask_parent(remote)
            above = remote.fs.parent(remote.path)
            facts["makeable"] = facts["kind"] == "local" and os.access(above, os.W_OK | os.X_OK)
        wanted = list(islice(_wanted_objects(repo), SAMPLE))
        paths = [remote.odb.oid_to_path(one) for one in wanted]
        return facts | {"wanted": len(wanted), "found": sum(map(remote.fs.exists, paths))}
    except Exception as error:  # noqa: BLE001 (of whatever library the remote needs)
        return facts | {"error": list(_list_causes(error))}


def _ask_parent(remote: Any) -> None:
    """Raise what the library says if the bucket, or the folder of the folder, cannot be used.

    No more is asked for than DVC needs: not the list of all buckets, nor that a folder on a disk or
    by SSH may be listed. `exists` of a bucket says no for whatever reason (s3fs).
    """
    if remote.fs.protocol == "s3":
        remote.fs.fs.call_s3("head_bucket", Bucket=remote.path.partition("/")[0])
    elif remote.fs.protocol in ("local", "ssh"):
        remote.fs.info(remote.fs.parent(remote.path))
    else:
        remote.fs.ls(remote.fs.parent(remote.path))


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
    main(sys.argv[1:])
