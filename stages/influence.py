"""What one optimizer step on each probing row does to the reference loss."""

from montessori.stage import Job, run


def main(job: Job) -> None:
    """Write data/influence/<name> from a warm-up, a probe and a reference set."""
    from montessori.influence.score import score_probe
    from montessori.influence.settings import InfluenceParams

    paths = job.paths
    settings = job.section("influence", InfluenceParams)
    job.metrics(
        score_probe(
            paths.warmup,
            paths.probe,
            paths.reference,
            paths.out,
            paths.plot,
            settings,
            job.machine,
            job.work,
            f"influence {job.name}",
        )
    )


if __name__ == "__main__":
    run(main, "warmup", "probe", "reference", "out", "metrics", "plot")
