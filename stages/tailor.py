"""Tailored data: a teacher writes questions of tasks and one solution to each."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name>, exactly N kept rows, free of eval items."""
    from montessori.arte.produce import QuestionSettings, write_tailored
    from montessori.arte.settings import ElicitParams, TailorParams
    from montessori.filters.settings import DecontaminationParams
    from montessori.graph.rows import Tailored
    from montessori.writing.order import read_order
    from montessori.writing.settings import FilterParams

    order = read_order(job, ("teacher", "tasks", "evals", "templates"))
    settings = QuestionSettings(
        elicit=job.section("elicit", ElicitParams),
        filter=job.section("filter", FilterParams, rows="tailored"),
        decontamination=job.section("decontamination", DecontaminationParams),
    )
    tailor = job.section("tailor", TailorParams)
    strategy = job.row("tailored", Tailored).strategy
    job.metrics(write_tailored(order, settings, tailor, strategy, job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "tasks", "evals", "templates", "out", "metrics")
