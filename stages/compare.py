"""The runs side by side with intervals, plot data and the report."""

from montessori.stage import Job, run


def main(job: Job) -> None:
    """Write metrics/compare.json, the plot data and the report on the runs in params."""
    from montessori.compare.comparison import compare_runs
    from montessori.compare.settings import CompareParams
    from montessori.compare.table import write_plot
    from montessori.report import build

    params = job.section("compare", CompareParams)
    runs = list(job.section("runs", dict[str, dict[str, str]]))
    paths = job.paths
    comparison = compare_runs(runs, paths.evals, paths.outcomes, params)
    write_plot(paths.plot, comparison)
    facts = {"baseline": params.baseline, "confidence": params.confidence}
    build(paths.report, comparison | facts, runs, paths.evals.parent)
    job.metrics(comparison)


if __name__ == "__main__":
    run(main, "evals", "outcomes", "metrics", "plot", "report")
