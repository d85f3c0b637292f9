"""The preference set: the validation questions that separate examinees best."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/preferences/<name> from tasks and the examinees that took them."""
    from montessori.arte.preference import write_preference
    from montessori.arte.settings import PreferenceParams

    rows = job.section("examinees", dict[str, dict[str, str]])
    names = [
        name for name, row in rows.items() if f"data/tasks/{row['tasks']}" == str(job.paths.tasks)
    ]
    settings = job.section("preference", PreferenceParams)
    paths = job.paths
    job.metrics(write_preference(paths.tasks, paths.examinees, names, paths.out, settings))


if __name__ == "__main__":
    run(main, "tasks", "examinees", "out", "metrics")
