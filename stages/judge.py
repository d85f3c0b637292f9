"""Raw verdicts on a run's answers, and against another run's."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/verdicts/<run>: preferences and scores by the judge that params name."""
    from montessori.evals.judging.write_verdicts import JudgeInputs, JudgeResources, write_verdicts
    from montessori.evals.settings import BenchmarkParams, JudgeParams

    judge = job.section("judge", JudgeParams)
    bench = job.section("benchmark", BenchmarkParams)
    paths = job.paths
    inputs = JudgeInputs(paths.answers, paths.against, paths.evals, paths.model, paths.prompts)
    resources = JudgeResources(job.machine, job.secret, job.work / f"{job.name}.answers.jsonl")
    write_verdicts(inputs, paths.out, judge, bench, resources)


if __name__ == "__main__":
    run(main, "model", "prompts", "answers", "against", "evals", "out")
