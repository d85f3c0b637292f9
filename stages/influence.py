"""What one optimizer step on each probing row does to the reference loss."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/influence/<name> from a warm-up, a probe and a reference set."""
    from montessori.signals.influence.score import score_probe
    from montessori.signals.influence.settings import InfluenceParams
    from montessori.signals.scoring import read_scoring_job

    scoring = read_scoring_job(job, ("warmup", "probe", "reference"))
    settings = job.section("influence", InfluenceParams, rows="influences")
    metrics = score_probe(scoring, settings, job.paths.plot)
    if metrics is not None:
        job.metrics(metrics)


if __name__ == "__main__":
    run(main, "warmup", "probe", "reference", "out", "metrics", "plot", shards=True)
