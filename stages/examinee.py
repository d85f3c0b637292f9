"""A model takes the validation questions of tasks, with several numbers of examples."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/examinees/<name>: which questions a model answers rightly."""
    from montessori.arte.examinees import take
    from montessori.signals.icl.settings import ExamineeParams, IclParams

    paths = job.paths
    metrics = take(
        job.name,
        paths.model,
        paths.tasks,
        paths.templates,
        paths.out,
        job.section("examinee", ExamineeParams),
        job.section("icl", IclParams),
        job.machine,
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "model", "tasks", "templates", "out", "metrics")
