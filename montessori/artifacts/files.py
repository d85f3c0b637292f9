"""What every stage reads and writes: tables, JSON, digests, folders with a manifest."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.atomic import (
    atomic_path,
    partial_path,
    sweep_partial,
    sync_to_disk,
    write_text,
)
from montessori.artifacts.halves import mend_text
from montessori.artifacts.schemas import Schema
from montessori.errors import MontessoriError

LOG = logging.getLogger(__name__)
MANIFEST = "manifest.json"
READ = 2**20  # bytes of a file that are in memory at once
#: Libraries whose version may change what an artifact holds.
LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "polars")


# ------------------------------------------------------------------------------------- digests
def row_id(*parts: str) -> str:
    """16 hexadecimal digits (64 bit of blake2b) for a row, from its content."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@dataclass(frozen=True)
class Digest:
    """Of a file's bytes, in hexadecimal: ours, and that by which DVC knows it."""

    sha256: str
    md5: str


def read_digests(path: Path) -> dict[str, Digest]:
    """The digests of all files below a folder by relative path; of a file, its own under "".

    Raises MontessoriError if nothing is there. A file that has not changed is read once a process.
    """
    if path.is_file():
        return {"": _read_digest(path)}
    if not path.is_dir():
        raise MontessoriError(f"{path} does not exist", next="dvc repro, or dvc pull")
    files = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): _read_digest(file) for file in files}


def _read_digest(path: Path) -> Digest:
    facts = path.stat()
    return _read_once(path.resolve(), facts.st_size, facts.st_mtime_ns, facts.st_ino)


@cache
def _read_once(path: Path, *facts: int) -> Digest:
    """The digests of a file that has these facts: size, time of change, inode."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as handle:
        while block := handle.read(READ):
            sha256.update(block)
            md5.update(block)
    return Digest(sha256.hexdigest(), md5.hexdigest())


def folder_digest(path: Path) -> str:
    """SHA-256 over the relative paths and contents of all files below a folder, in hexadecimal.

    For a file it is the `file_digest`. Raises MontessoriError if nothing is there.
    """
    digests = {name: value.sha256 for name, value in read_digests(path).items()}
    if path.is_file():
        return digests[""]
    digest = hashlib.sha256()
    for name, value in sorted(digests.items()):
        digest.update(f"{name}\0{value}\n".encode())
    return digest.hexdigest()


def _digests_below(folder: Path) -> dict[str, str]:
    """SHA-256 of all files below a folder that was just made, by relative path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


# -------------------------------------------------------------------------------------- tables
def read_table(path: Path, schema: Schema | None) -> pl.DataFrame:
    """The columns of `schema`, in its order, from a Parquet file; other columns are dropped.

    Without a schema the table comes as it is. Raises MontessoriError if the file is missing or
    unreadable, or if a column is missing or has another dtype.
    """
    if not Path(path).is_file():
        raise MontessoriError("table not found", where=str(path), next="dvc repro, or dvc pull")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise MontessoriError(
            f"not a readable Parquet file ({error})", where=str(path), next="dvc repro"
        ) from error
    return frame if schema is None else _fit_to_schema(frame, schema, str(path), extra_allowed=True)


def make_table(records: Sequence[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    """A table of records. Half characters, which no table can hold, become U+FFFD, with a warning.

    What reads files and servers replaces and counts them already; this is for texts by other ways.
    """
    try:
        return pl.DataFrame(records, schema=dict(schema))
    except UnicodeEncodeError:
        repaired = [_mend_value(dict(record)) for record in records]
    changed = sum(new != dict(old) for new, old in zip(repaired, records, strict=True))
    LOG.warning(
        "%d of %d rows hold half of a character; U+FFFD is in its place", changed, len(repaired)
    )
    return pl.DataFrame(repaired, schema=dict(schema))


def _mend_value(value: Any) -> Any:
    if isinstance(value, str):
        return mend_text(value)[0]
    if isinstance(value, Mapping):
        return {name: _mend_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mend_value(each) for each in value]
    return value


def write_table(frame: pl.DataFrame, path: Path, schema: Schema) -> None:
    """Write a table as Parquet, atomically, with exactly the columns of `schema` in its order.

    A column without any value may have dtype Null. Raises MontessoriError on any other difference.
    """
    frame = _fit_to_schema(frame, schema, str(path), extra_allowed=False)
    with atomic_path(Path(path)) as temporary:
        frame.write_parquet(temporary)


def _fit_to_schema(
    frame: pl.DataFrame, schema: Schema, where: str, extra_allowed: bool
) -> pl.DataFrame:
    problems = []
    for name, dtype in schema.items():
        present = frame.schema.get(name)
        if present is None:
            problems.append(f"column {name!r} is missing, expected {dtype}")
        elif present == pl.Null:  # polars cannot tell the type of a column without values
            frame = frame.with_columns(pl.col(name).cast(dtype))
        elif present != dtype:
            problems.append(f"column {name!r} is {present}, expected {dtype}")
    for name in frame.columns:
        if name not in schema and not extra_allowed:
            problems.append(f"column {name!r} is not in the schema")
    if problems:
        raise MontessoriError(
            "the table does not fit its schema: " + "; ".join(problems),
            where=where,
            next="remove the artifact and run dvc repro",
        )
    return frame.select(list(schema))


# ---------------------------------------------------------------------------------------- JSON
def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: sorted keys, indented by two spaces, a newline at the end.

    Raises MontessoriError for values that JSON cannot hold, NaN and infinity among them.
    """
    try:
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MontessoriError(
            f"value cannot be written as JSON ({error})",
            where=str(path),
            expected="texts, finite numbers, lists and mappings",
            next="report this with the command that was run",
        ) from error
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises MontessoriError if it is missing or malformed."""
    try:
        # `utf-8-sig` drops the byte-order mark that some editors put at the start.
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise MontessoriError(
            "file not found", where=str(path), next="dvc repro, or dvc pull"
        ) from error
    except OSError as error:
        raise MontessoriError(
            f"cannot be read ({error})", where=str(path), next="fix the path"
        ) from error
    except (ValueError, RecursionError) as error:  # RecursionError: too deeply nested
        raise MontessoriError(
            f"not valid JSON ({error})", where=str(path), next=f"fix {path}"
        ) from error


# -------------------------------------------------------------------------------------- folders
@contextmanager
def new_folder(
    out: Path,
    inputs: Mapping[str, Path],
    facts: Mapping[str, Any] | None = None,
    libraries: Sequence[str] = LIBRARIES,
) -> Iterator[Path]:
    """A folder to fill that becomes `out` at once, with its manifest, or not at all.

    `inputs` are files or folders by name and enter the manifest as digests. `facts` may be filled
    inside the block, because it is read when the block ends. The manifest holds nothing that
    differs between two equal runs: no times, hosts or absolute paths. An old `out` is replaced.
    """
    out = Path(out)
    sweep_partial([out])
    temporary = partial_path(out)
    temporary.mkdir(parents=True)
    try:
        # before the block, so that the digests are those of what the block reads
        digests = {name: folder_digest(Path(path)) for name, path in inputs.items()}
        yield temporary
        manifest = {
            "inputs": digests,
            "files": _digests_below(temporary),
            "libraries": _installed_versions(libraries),
            "facts": dict(facts or {}),
        }
        write_json(temporary / MANIFEST, manifest)
        for path in temporary.rglob("*"):
            sync_to_disk(path)
        _replace_folder(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(temporary: Path, out: Path) -> None:
    # a rename cannot replace a folder that holds files, so the old one moves away first
    old = partial_path(out.with_name(f"{out.name}.old"))
    if out.is_dir():
        os.replace(out, old)
    os.replace(temporary, out)
    sync_to_disk(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _installed_versions(libraries: Sequence[str]) -> dict[str, str]:
    """Versions of the libraries that are installed; the others had no part in the artifact."""
    installed = {}
    for name in libraries:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed
