"""A dataset cut to another one's response tokens."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name>: the first rows of one dataset, as long as another."""
    from montessori.datasets.trim import trim_dataset

    job.metrics(trim_dataset(job.paths.dataset, job.paths.like, job.paths.out))


if __name__ == "__main__":
    run(main, "dataset", "like", "out", "metrics")
