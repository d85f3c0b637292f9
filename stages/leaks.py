"""Eval items among the rows that a student learns from or is scored on."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write metrics/leaks/...: how many rows of a probe or dataset are eval items."""
    from montessori.filters.leaks import count_leaks
    from montessori.filters.settings import DecontaminationParams

    params = job.section("decontamination", DecontaminationParams)
    job.metrics(count_leaks(job.paths.rows, job.paths.evals, params.ngram))


if __name__ == "__main__":
    run(main, "rows", "evals", "metrics")
