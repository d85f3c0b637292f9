"""The runs side by side with intervals and p-values, plot data and the report."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write metrics/compare.json, the plot data and the report on the runs in params."""
    from montessori.compare.comparison import compare_runs
    from montessori.compare.comparison_table import write_plot
    from montessori.compare.decontamination import summarize_decontamination
    from montessori.compare.settings import CompareParams
    from montessori.graph.rows import Exam, Harness, Run
    from montessori.report.build import build_report

    params = job.section("compare", CompareParams)
    runs = job.section("runs", dict[str, Run])
    harnesses = job.section("harnesses", dict[str, Harness])
    exams = job.section("exams", dict[str, Exam])
    paths = job.paths
    comparison = compare_runs(runs, paths.evals, paths.outcomes, params, harnesses, exams)
    comparison["decontamination"] = summarize_decontamination(paths.seed, paths.synth, paths.leaks)
    write_plot(paths.plot, comparison)
    pages = {name: f"outputs/{name}.html" for name in runs}
    build_report(paths.report, comparison, list(runs), paths.evals.parent, pages=pages)
    job.metrics(comparison)


if __name__ == "__main__":
    run(main, "evals", "outcomes", "seed", "synth", "leaks", "metrics", "plot", "report")
