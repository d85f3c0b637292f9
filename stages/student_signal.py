"""What a warmed-up student says of each row of a probe: its loss, or its uncertainty."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/student-signal/<name> from a warm-up and the probe rows not used in it."""
    from montessori.graph.rows import StudentSignal
    from montessori.signals.scoring import read_scoring_job
    from montessori.signals.settings import StudentSignalParams
    from montessori.signals.student import score_by_student

    settings = job.section("student_signal", StudentSignalParams, rows="student_signals")
    measure = job.row("student_signals", StudentSignal).measure
    scoring = read_scoring_job(job, ("warmup", "probe"))
    job.metrics(score_by_student(scoring, measure, settings))


if __name__ == "__main__":
    run(main, "warmup", "probe", "out", "metrics")
