"""Probing data from a file of one's own."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/probe/<name> from a file of rows, as if a teacher had written the rows."""
    from montessori.filters.settings import DecontaminationParams
    from montessori.sources.own_rows import probe_file
    from montessori.sources.rows.settings import ReadingParams

    decontamination = job.section("decontamination", DecontaminationParams)
    reading = job.section("reading", ReadingParams, "probe_files")
    paths = job.paths
    job.metrics(probe_file(paths.rows, paths.evals, paths.out, decontamination, reading))


if __name__ == "__main__":
    run(main, "rows", "evals", "out", "metrics")
