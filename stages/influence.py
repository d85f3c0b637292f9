"""What one optimizer step on each probing row does to the reference loss."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/influence/<name> from a warm-up, a probe and a reference set."""
    from montessori.pipeline.parts import Shard
    from montessori.signals.influence.score import score_probe
    from montessori.signals.influence.settings import InfluenceParams

    paths = job.paths
    metrics = score_probe(
        paths.warmup,
        paths.probe,
        paths.reference,
        paths.out,
        paths.plot,
        job.section("influence", InfluenceParams, rows="influences"),
        job.machine,
        job.work,
        f"influence {job.name}",
        Shard.parse(job.shard or "1/1"),
    )
    if metrics is not None:
        job.metrics(metrics)


if __name__ == "__main__":
    run(main, "warmup", "probe", "reference", "out", "metrics", "plot", shards=True)
