"""The rows of a set that a student gets wrong."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/mistakes/<name>, a seed pool for a teacher that writes around mistakes."""
    from montessori.datasets.mistakes import MistakesParams, write_mistakes

    paths = job.paths
    settings = job.section("mistakes", MistakesParams, rows="mistake_sets")
    job.metrics(write_mistakes(paths.student, paths.rows, paths.out, settings, job.machine))


if __name__ == "__main__":
    run(main, "student", "rows", "out", "metrics")
