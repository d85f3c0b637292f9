"""The student learns the first rows of a probe; weights and AdamW moments are kept."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/warmup/<name> from a base student and a probe."""
    from montessori.models.adapters import AdapterParams
    from montessori.train.settings import WarmupParams
    from montessori.train.warmup import warm_up

    paths = job.paths
    settings = job.section("warmup", WarmupParams, rows="warmups")
    job.metrics(
        warm_up(
            paths.student,
            paths.probe,
            paths.out,
            settings,
            job.seed,
            job.machine,
            f"warmup {job.name}",
            job.section("adapter", AdapterParams),
        )
    )


if __name__ == "__main__":
    run(main, "student", "probe", "out", "metrics")
