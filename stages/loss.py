"""The warmed-up student's loss on each row of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/loss/<name> from a warm-up and the rows of a probe that it did not see."""
    from montessori.signals.scoring import read_scoring_job
    from montessori.signals.settings import LossParams
    from montessori.signals.student import score_by_student

    settings = job.section("loss", LossParams, rows="losses")
    scoring = read_scoring_job(job, ("warmup", "probe"))
    job.metrics(score_by_student(scoring, "loss", settings))


if __name__ == "__main__":
    run(main, "warmup", "probe", "out", "metrics")
