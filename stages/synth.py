"""A dataset: a teacher writes training data, exactly N kept rows."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name>, free of eval items, and its rows per skill."""
    from montessori.writing.order import read_order
    from montessori.writing.produce import read_writing_settings, write_dataset
    from montessori.writing.settings import SynthParams

    order = read_order(job, ("teacher", "seeds", "evals", "template"))
    synth = job.section("synth", SynthParams, rows="datasets")
    job.metrics(
        write_dataset(order, read_writing_settings(job), synth, job.paths.out, job.paths.plot)
    )


if __name__ == "__main__":
    run(main, "teacher", "seeds", "evals", "template", "out", "metrics", "plot")
