"""A judge's marks on the rows of a probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/judge-signal/<name> from a probe and a judge: a model, or the lab's checker."""
    from montessori.signals.judge import score_by_judge
    from montessori.signals.settings import JudgeSignalParams
    from montessori.writing.order import read_order

    order = read_order(job, ("probe", "judge", "template"), writer="judge")
    settings = job.section("judge_signal", JudgeSignalParams, rows="judge_signals")
    job.metrics(score_by_judge(order, settings, job.paths.out))


if __name__ == "__main__":
    run(main, "probe", "judge", "template", "out", "metrics")
