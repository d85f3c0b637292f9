"""The exam: a model takes the test questions of tasks."""

from functools import partial

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/exams/<name>, every question with its answer, and the accuracy of each task."""
    from montessori.arte.settings import ExamParams
    from montessori.evals.exam import take_exam
    from montessori.generate.engines import open_with_ledger
    from montessori.generate.settings import GenerationParams

    settings = job.section("exam", ExamParams)
    open_model = partial(
        open_with_ledger,
        generation=GenerationParams(settings.engine),
        machine=job.machine,
        secret=job.secret,
        ledger=job.work / f"{job.name}.answers.jsonl",
    )
    paths = job.paths
    job.metrics(
        take_exam(open_model, paths.model, paths.tasks, paths.out, paths.outcomes, settings)
    )


if __name__ == "__main__":
    run(main, "model", "tasks", "out", "metrics", "outcomes")
