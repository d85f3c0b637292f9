"""Tasks: a description, seed questions, validation questions, and what is kept out of data."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/tasks/<name> from a tasks file, a lab recipe, or a folder of BBH files."""
    from montessori.arte.settings import TaskParams
    from montessori.arte.sources import load_tasks
    from montessori.arte.tasks import write_tasks

    paths = job.paths
    tasks = load_tasks(paths.source, job.section("task", TaskParams))
    job.metrics(write_tasks(tasks, paths.source, paths.out))


if __name__ == "__main__":
    run(main, "source", "out", "metrics")
