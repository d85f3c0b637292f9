"""From a stage's paths and params to what its teacher is to write."""

from functools import partial
from typing import TYPE_CHECKING

from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.writing.produce import Assignment
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ResponseParams,
)

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job


def assignment(job: "Job", inputs: tuple[str, ...]) -> Assignment:
    """What a job asks of its teacher; `inputs` names those of its paths that are read."""
    generation = job.section("generation", GenerationParams)
    return Assignment(
        name=job.name,
        inputs={name: getattr(job.paths, name) for name in inputs},
        work=job.work,
        seed=job.seed,
        generation=generation,
        instruction=job.section("instruction", InstructionParams),
        response=job.section("response", ResponseParams),
        filter=job.section("filter", FilterParams),
        collapse=job.section("collapse", CollapseParams),
        open_engine=partial(open_engine, job.paths.teacher, generation, job.machine, job.secret),
    )
