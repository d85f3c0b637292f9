"""Resumable parts of a long job, in a work folder named by the digest of the job's inputs."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import read_table, write_table
from montessori.artifacts.schemas import Schema
from montessori.errors import MontessoriError

LONGEST_SHARD = 13  # characters: each of a million processes has its own


def parts_digest(params: Mapping[str, Any], inputs: Mapping[str, str], schema: Schema) -> str:
    """32 hexadecimal digits from a job's params, its input digests by name and its schema."""
    layout = {name: str(dtype) for name, dtype in schema.items()}
    text = json.dumps([params, dict(inputs), layout], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Shard:
    """One of `count` processes or machines that share the parts: the `index`-th, from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`2/3` -> the second of three. Raises MontessoriError for anything else."""
        first, slash, second = text.partition("/")
        # Python refuses to read numbers of thousands of digits, by an error of its own
        short = len(text) <= LONGEST_SHARD and first.isdecimal() and second.isdecimal()
        if slash and short and 1 <= int(first) <= int(second):
            return cls(int(first), int(second))
        raise MontessoriError(
            f"{text[:60]!r} is not a shard",
            where="option --shard",
            expected="which of how many, such as 2/3",
            next="give each of n processes its own of 1/n, 2/n, ... n/n",
        )

    def owns_part(self, part: int) -> bool:
        """Whether this shard fills part `part`, counted from 0."""
        return part % self.count == self.index - 1


class Parts:
    """The finished parts of one job: `<work>/<digest>/<index>.parquet`.

    Another digest is another folder, so parts of other inputs are never picked up. A part is
    written atomically: it is there whole, or not at all.
    """

    def __init__(self, work: Path, digest: str) -> None:
        self.folder = Path(work) / digest

    def find_part(self, index: int) -> Path | None:
        """The file of part `index`, or None if it is not finished."""
        path = self._part_path(index)
        return path if path.is_file() else None

    def write_part(self, index: int, frame: pl.DataFrame) -> Path:
        """Finish part `index` with the rows of `frame`."""
        path = self._part_path(index)
        write_table(frame, path, dict(frame.schema))
        return path

    def read_part(self, index: int) -> pl.DataFrame:
        """The rows of part `index`. Raises MontessoriError if it is not finished."""
        return read_table(self._part_path(index), None)

    def remove_all(self) -> None:
        """Remove all parts of this job, after its output has been written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part_path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.parquet"
