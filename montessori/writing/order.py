"""One job of a model that writes: who writes, from what, and where unfinished work is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import folder_digest, new_folder, write_table
from montessori.artifacts.schemas import Schema
from montessori.generate import Engine
from montessori.generate.engines import open_engine, teacher_facts
from montessori.generate.ledger import read_spending
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts, parts_digest

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job


NO_FACTS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Order:
    """What every stage in which a teacher or a judge writes is given.

    `inputs` are artifacts by name, the writer's model folder among them; `work` is the folder for
    unfinished work. `open_engine` opens the writer with the file that keeps a server's answers.
    """

    name: str  # of the row in params.yaml
    inputs: dict[str, Path]
    work: Path
    seed: int
    generation: GenerationParams
    open_engine: Callable[[Path], Engine]

    @property
    def ledger(self) -> Path:
        """The file with what a server has answered so far, and what it cost.

        It belongs to the row's name, not to the digest of its parts: after a change of a filter,
        say, the answers that were paid for are still there.
        """
        return self.work / f"{self.name}.answers.jsonl"

    def lazy_engine(self) -> Callable[[], Engine]:
        """A function that opens the engine when it is first called, and then returns the same."""
        return cache(partial(self.open_engine, self.ledger))

    def open_parts(self, params: dict[str, Any], schema: Schema) -> Parts:
        """The finished parts of exactly this work: the same `params`, inputs and table columns."""
        digests = {name: folder_digest(path) for name, path in self.inputs.items()}
        return Parts(self.work, parts_digest({"seed": self.seed, **params}, digests, schema))

    def write_rows(
        self, out: Path, rows: pl.DataFrame, schema: Schema, more: Mapping[str, Any] = NO_FACTS
    ) -> None:
        """Write the folder `out` with rows.parquet; its manifest names the teacher.

        `more` are further facts of the manifest.
        """
        teacher = teacher_facts(self.inputs["teacher"], self.generation)
        facts = {"rows": rows.height, **teacher, **more}
        with new_folder(out, self.inputs, facts) as folder:
            write_table(rows, folder / "rows.parquet", schema)

    def clear_work(self, parts: Parts, metrics: dict[str, Any]) -> dict[str, Any]:
        """Remove parts and ledger, once the artifact is written.

        Returns the metrics with the cost of a server (`server`), if one was used.
        """
        cost = read_spending(self.ledger)
        parts.remove_all()
        self.ledger.unlink(missing_ok=True)
        return metrics if cost is None else metrics | {"server": cost}


def read_order(job: "Job", inputs: tuple[str, ...], writer: str = "teacher") -> Order:
    """The order of a job. `inputs` are the names of the paths it reads, `writer` one of them."""
    generation = job.section("generation", GenerationParams)
    folder = getattr(job.paths, writer)
    return Order(
        name=job.name,
        inputs={name: getattr(job.paths, name) for name in inputs},
        work=job.work,
        seed=job.seed,
        generation=generation,
        open_engine=partial(open_engine, folder, generation, job.machine, job.secret),
    )
