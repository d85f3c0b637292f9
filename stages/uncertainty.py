"""The warmed-up student's uncertainty of each row of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/uncertainty/<name> from a warm-up and the rows of a probe that it did not see."""
    from montessori.signals.scoring import read_scoring_job
    from montessori.signals.settings import UncertaintyParams
    from montessori.signals.student import score_by_student

    settings = job.section("uncertainty", UncertaintyParams, rows="uncertainties")
    scoring = read_scoring_job(job, ("warmup", "probe"))
    job.metrics(score_by_student(scoring, "uncertainty", settings))


if __name__ == "__main__":
    run(main, "warmup", "probe", "out", "metrics")
