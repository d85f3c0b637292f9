"""Probing data of responses: several to each instruction of another probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/probe/<name>: a teacher's responses to instructions that warm-up left over."""
    from functools import partial

    from montessori.generate.engines import open_engine
    from montessori.generate.settings import GenerationParams
    from montessori.writing.responses import write_responses
    from montessori.writing.settings import ResponseProbeParams

    paths = job.paths
    generation = job.section("generation", GenerationParams)
    metrics = write_responses(
        paths.probe,
        paths.warmup,
        paths.teacher,
        paths.out,
        job.section("response_probe", ResponseProbeParams, rows="response_probes"),
        generation,
        job.seed,
        partial(open_engine, paths.teacher, generation, job.machine, job.secret),
        job.work,
        job.name,
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "probe", "warmup", "teacher", "out", "metrics")
