"""What one row as a demonstration does to a student's answers."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/icl/<name> from a student, rows of drafts or of a probe, and questions."""
    from montessori.pipeline.parts import Shard
    from montessori.signals.icl.score import score_rows
    from montessori.signals.icl.settings import IclParams

    paths = job.paths
    metrics = score_rows(
        paths.student,
        paths.rows,
        paths.questions,
        paths.templates,
        paths.out,
        job.section("icl", IclParams),
        job.machine,
        job.work,
        f"icl {job.name}",
        Shard.parse(job.shard or "1/1"),
    )
    if metrics is not None:
        job.metrics(metrics)


if __name__ == "__main__":
    run(main, "student", "rows", "questions", "templates", "out", "metrics", shards=True)
