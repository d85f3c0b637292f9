"""The warmed-up student's uncertainty of each row of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/uncertainty/<name> from a warm-up and the rows of a probe that it did not see."""
    from montessori.signals.settings import UncertaintyParams
    from montessori.signals.student import score_by_student

    paths = job.paths
    settings = job.section("uncertainty", UncertaintyParams, rows="uncertainties")
    metrics = score_by_student(
        "uncertainty",
        paths.warmup,
        paths.probe,
        paths.out,
        settings,
        job.machine,
        job.work,
        f"uncertainty {job.name}",
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "warmup", "probe", "out", "metrics")
