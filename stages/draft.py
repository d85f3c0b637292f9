"""ARTE's drafts: a teacher writes questions of tasks, and rationales in several ways."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/drafts/<name>: questions, with a rationale by each special reasoning prompt."""
    from montessori.arte.produce import commission, write_drafts
    from montessori.arte.settings import DraftParams
    from montessori.writing.settings import FilterParams

    filters = job.section("filter", FilterParams, rows="drafts")
    ask = commission(job, ("teacher", "tasks", "evals", "templates"), filters)
    job.metrics(write_drafts(ask, job.section("draft", DraftParams), job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "tasks", "evals", "templates", "out", "metrics")
