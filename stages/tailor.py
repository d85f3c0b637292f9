"""Tailored data: a teacher writes questions of tasks and one solution to each."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name>, exactly N kept rows, free of eval items."""
    from montessori.arte.produce import commission, write_tailored
    from montessori.arte.settings import TailorParams
    from montessori.graph.rows import Tailored
    from montessori.writing.settings import FilterParams

    filters = job.section("filter", FilterParams, rows="tailored")
    ask = commission(job, ("teacher", "tasks", "evals", "templates"), filters)
    strategy = job.row("tailored", Tailored).strategy
    job.metrics(write_tailored(ask, job.section("tailor", TailorParams), strategy, job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "tasks", "evals", "templates", "out", "metrics")
