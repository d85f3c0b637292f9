"""Metrics and per-example outcomes of a run on all four benchmarks."""

import os

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write metrics/eval/<run>.json and metrics/outcomes/<run>.csv; lm-eval runs offline."""
    os.environ["TQDM_DISABLE"] = "1"
    from montessori.evals.evaluate import evaluate_run
    from montessori.evals.settings import BenchmarkParams, EvalParams

    paths = job.paths
    metrics = evaluate_run(
        paths.model,
        paths.verdicts,
        paths.evals,
        paths.outcomes,
        job.section("benchmark", BenchmarkParams),
        job.section("eval", EvalParams),
        job.machine,
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "model", "verdicts", "evals", "metrics", "outcomes")
