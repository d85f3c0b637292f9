"""One job that scores rows with a student: what it reads, where it writes, how it is divided."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.files import folder_digest
from montessori.artifacts.schemas import Schema
from montessori.pipeline.machine import Machine
from montessori.pipeline.parts import Parts, Shard, parts_digest

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job


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
