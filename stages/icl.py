"""What one row as a demonstration does to a student's answers."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/icl/<name> from a student, rows of drafts or of a probe, and questions."""
    from montessori.signals.icl.score import score_rows
    from montessori.signals.icl.settings import IclParams
    from montessori.signals.scoring import read_scoring_job

    scoring = read_scoring_job(job, ("student", "rows", "questions", "templates"))
    metrics = score_rows(scoring, job.section("icl", IclParams))
    if metrics is not None:
        job.metrics(metrics)


if __name__ == "__main__":
    run(main, "student", "rows", "questions", "templates", "out", "metrics", shards=True)
