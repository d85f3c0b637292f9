"""One job that scores rows with a student, and what every such job requires of its rows."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import folder_digest
from montessori.artifacts.schemas import Schema
from montessori.errors import MontessoriError
from montessori.pipeline.machine import Machine
from montessori.pipeline.parts import Parts, Shard, parts_digest

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job
    from montessori.train.loss import Row

LOG = logging.getLogger(__name__)
#: Fewer rows cannot be ranked.
LEAST = 2


@dataclass(frozen=True)
class ScoringJob:
    """What every stage in which a student's forward or backward passes score rows is given.

    `inputs` are artifacts by name; `work` is the folder for finished parts, `label` begins the
    progress line. Of several processes that share the work, each fills the parts of its `shard`.
    """

    inputs: dict[str, Path]
    out: Path
    work: Path
    machine: Machine
    label: str = "scores"
    shard: Shard = Shard(1, 1)

    def open_parts(self, params: dict[str, Any], schema: Schema) -> Parts:
        """The finished parts of exactly this work: the same `params`, inputs and table columns."""
        digests = {name: folder_digest(path) for name, path in self.inputs.items()}
        return Parts(self.work, parts_digest(params, digests, schema))


def read_scoring_job(job: "Job", inputs: tuple[str, ...]) -> ScoringJob:
    """The scoring job of a stage; `inputs` are the names of the paths that it reads."""
    return ScoringJob(
        inputs={name: getattr(job.paths, name) for name in inputs},
        out=job.paths.out,
        work=job.work,
        machine=job.machine,
        label=f"{job.kind} {job.name}",
        shard=Shard.parse(job.shard or "1/1"),
    )


def split_unanswered(
    rows: Sequence["Row"], frame: pl.DataFrame, folder: Path, key: str
) -> tuple[list["Row"], pl.DataFrame, int]:
    """The rows with an answer token within the length that `key` sets; and how many have none.

    `rows` are the tokens of the table `frame`, which lies in `folder`. A row whose prompt fills
    that length can be neither learned nor scored; the log names the first. Raises MontessoriError
    when fewer than two rows are left.
    """
    has_answer = [bool(row.targets) for row in rows]
    answered = [row for row in rows if row.targets]
    if len(answered) == len(rows):
        return answered, frame, 0
    missing = len(rows) - len(answered)
    what = f"{missing} of {len(rows)} rows have no response within the tokens that are read"
    where = f"{folder / 'rows.parquet'}, row {frame['row_id'][has_answer.index(False)]}"
    if len(answered) < LEAST:
        raise MontessoriError(
            what,
            where=where,
            expected=f"at least {LEAST} rows with an assistant token",
            next=f"raise {key} in params.yaml, or drop the rows",
        )
    LOG.warning("%s, and get no score: %s; raise %s to score them", what, where, key)
    return answered, frame.filter(pl.Series(has_answer)), missing


def require_finite(finite: Sequence[bool], row_ids: Sequence[str], signal: str) -> None:
    """Raise MontessoriError when the value of a row is not finite; `finite` is in row order."""
    bad = [row_id for row_id, is_finite in zip(row_ids, finite, strict=True) if not is_finite]
    if bad:
        raise MontessoriError(
            f"the {signal} of {len(bad)} of {len(row_ids)} rows is not a finite number",
            where=f"probe row {bad[0]}",
            expected="finite weights and losses",
            next="look at the row, and at the loss in the warm-up's metrics; then `dvc repro`",
        )
