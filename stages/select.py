"""A dataset of the best rows of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name> from a probe and a scores table, free of eval items."""
    from montessori.datasets.select import SelectParams, select_rows
    from montessori.filters.settings import DecontaminationParams

    paths = job.paths
    metrics = select_rows(
        paths.probe,
        paths.scores,
        paths.evals,
        paths.out,
        job.section("select", SelectParams, rows="selections"),
        job.section("decontamination", DecontaminationParams),
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "probe", "scores", "evals", "out", "metrics")
