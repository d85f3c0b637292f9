"""ARTE's drafts: a teacher writes questions of tasks, and rationales in several ways."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/drafts/<name>: questions, with a rationale by each special reasoning prompt."""
    from montessori.arte.produce import QuestionSettings, write_drafts
    from montessori.arte.settings import DraftParams, ElicitParams
    from montessori.filters.settings import DecontaminationParams
    from montessori.writing.order import read_order
    from montessori.writing.settings import FilterParams

    order = read_order(job, ("teacher", "tasks", "evals", "templates"))
    settings = QuestionSettings(
        elicit=job.section("elicit", ElicitParams),
        filter=job.section("filter", FilterParams, rows="drafts"),
        decontamination=job.section("decontamination", DecontaminationParams),
    )
    draft = job.section("draft", DraftParams)
    job.metrics(write_drafts(order, settings, draft, job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "tasks", "evals", "templates", "out", "metrics")
