"""Training data from a file of one's own."""

from montessori.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name> from JSON Lines, as if a teacher had written the rows."""
    from montessori.sources.probe import dataset_file

    job.metrics(dataset_file(job.paths.rows, job.paths.out))


if __name__ == "__main__":
    run(main, "rows", "out", "metrics")
