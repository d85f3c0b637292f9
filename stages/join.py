"""A dataset of the first rows of one and all rows of another."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name> from two datasets."""
    from montessori.datasets.join import JoinParams, join_datasets

    settings = job.section("join", JoinParams)
    job.metrics(join_datasets(job.paths.first, job.paths.second, job.paths.out, settings))


if __name__ == "__main__":
    run(main, "first", "second", "out", "metrics")
