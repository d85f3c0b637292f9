"""A public benchmark: one model on one lm-eval task, from local files."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/harness/<name>, every item as asked and scored, and the scores with errors."""
    from montessori.evals.public.run_task import PublicTask, run_task
    from montessori.evals.public.settings import HarnessParams
    from montessori.graph.rows import Harness

    row = job.row("harnesses", Harness)
    paths = job.paths
    metrics = run_task(
        paths.model,
        PublicTask(row.task, row.shots, paths.data),
        paths.out,
        paths.outcomes,
        job.section("harness", HarnessParams),
        job.machine,
    )
    job.metrics(metrics)


if __name__ == "__main__":
    run(main, "model", "data", "out", "metrics", "outcomes")
