"""A model takes the validation questions of tasks, with several numbers of examples."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/examinees/<name>: which questions a model answers correctly."""
    from montessori.arte.examinees import take_questions
    from montessori.signals.icl.settings import ExamineeParams, IclParams
    from montessori.signals.scoring import read_scoring_job

    examinee = job.section("examinee", ExamineeParams)
    icl = job.section("icl", IclParams)
    scoring = read_scoring_job(job, ("model", "tasks", "templates"))
    job.metrics(take_questions(scoring, job.name, examinee, icl))


if __name__ == "__main__":
    run(main, "model", "tasks", "templates", "out", "metrics")
