"""A judge's marks on the rows of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/judge-signal/<name> from a probe and a judge: a model, or the lab's checker."""
    from dataclasses import asdict
    from functools import partial

    from montessori.generate.engines import open_engine
    from montessori.generate.settings import GenerationParams
    from montessori.signals.judge import score_by_judge
    from montessori.signals.settings import JudgeSignalParams

    paths = job.paths
    generation = job.section("generation", GenerationParams)
    metrics = score_by_judge(
        paths.probe,
        paths.judge,
        paths.template,
        paths.out,
        job.section("judge_signal", JudgeSignalParams, rows="judge_signals"),
        job.seed,
        partial(open_engine, paths.judge, generation, job.machine, job.secret),
        job.work,
        job.name,
        asdict(generation),
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "probe", "judge", "template", "out", "metrics")
