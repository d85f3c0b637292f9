"""Resumable parts of a long job, in a work folder keyed by the digest of what they come from."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts import Schema, read_table, write_table


def parts_digest(params: Mapping[str, Any], inputs: Mapping[str, str], schema: Schema) -> str:
    """32 hexadecimal digits from a job's params, its input digests by name and its schema."""
    layout = {name: str(dtype) for name, dtype in schema.items()}
    text = json.dumps([params, dict(inputs), layout], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Parts:
    """The finished parts of one job: `<work>/<digest>/<index>.parquet`.

    Another digest is another folder, so parts of other inputs are never picked up. A part is
    written to a temporary file and renamed: it is there whole, or not at all.
    """

    def __init__(self, work: Path, digest: str) -> None:
        self.folder = Path(work) / digest

    def done(self, index: int) -> Path | None:
        """The file of part `index`, or None if it is not finished."""
        path = self._path(index)
        return path if path.is_file() else None

    def write(self, index: int, frame: pl.DataFrame) -> Path:
        """Finish part `index` with the rows of `frame`."""
        path = self._path(index)
        write_table(frame, path, dict(frame.schema))
        return path

    def read(self, index: int) -> pl.DataFrame:
        """The rows of part `index`. Raises MontessoriError if it is not finished."""
        return read_table(self._path(index), None)

    def clear(self) -> None:
        """Remove all parts of this job, after its output has been written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.parquet"
