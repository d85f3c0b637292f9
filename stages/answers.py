"""A run's answers to every open benchmark."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/answers/<run>: greedy answers, the second turn behind the model's own first."""
    from montessori.evals.answers import write_answers
    from montessori.evals.settings import BenchmarkParams

    bench = job.section("benchmark", BenchmarkParams)
    write_answers(job.paths.model, job.paths.evals, job.paths.out, bench, job.machine)


if __name__ == "__main__":
    run(main, "model", "evals", "out")
