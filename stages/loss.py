"""The warmed-up student's loss on each row of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/loss/<name> from a warm-up and the rows of a probe that it did not see."""
    from montessori.signals.settings import LossParams
    from montessori.signals.student import score_by_student

    paths = job.paths
    settings = job.section("loss", LossParams, rows="losses")
    metrics = score_by_student(
        "loss",
        paths.warmup,
        paths.probe,
        paths.out,
        settings,
        job.machine,
        job.work,
        f"loss {job.name}",
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "warmup", "probe", "out", "metrics")
