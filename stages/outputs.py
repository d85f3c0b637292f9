"""A page with a run's answers beside those of the run it is compared with."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write report/outputs/<run>.html: prompts, both answers, verdicts; to filter and sort."""
    from montessori.report.answers.write import write_page

    paths = job.paths
    write_page(
        paths.answers,
        paths.verdicts,
        paths.against,
        paths.against_verdicts,
        paths.evals,
        paths.out,
    )


if __name__ == "__main__":
    run(main, "answers", "verdicts", "against", "against-verdicts", "evals", "out")
