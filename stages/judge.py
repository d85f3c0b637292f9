"""Raw verdicts on a run's answers, and against another run's."""

from montessori.stage import Job, run


def main(job: Job) -> None:
    """Write data/verdicts/<run>: preferences and scores by the judge that params name."""
    from montessori.evals.judge import write_verdicts
    from montessori.evals.settings import BenchmarkParams, JudgeParams

    judge = job.section("judge", JudgeParams)
    bench = job.section("benchmark", BenchmarkParams)
    paths = job.paths
    write_verdicts(paths.answers, paths.against, paths.evals, paths.out, judge, bench)


if __name__ == "__main__":
    run(main, "answers", "against", "evals", "out")
