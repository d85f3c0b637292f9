"""A dataset: a teacher writes training data, exactly N kept rows."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/datasets/<name>, free of eval items, and its rows per skill."""
    from dataclasses import replace

    from montessori.filters.settings import DecontaminationParams
    from montessori.writing.assign import assignment
    from montessori.writing.produce import write_dataset
    from montessori.writing.settings import SynthParams

    synth = job.section("synth", SynthParams, rows="datasets")
    task = replace(
        assignment(job, ("teacher", "seeds", "evals", "template")),
        decontamination=job.section("decontamination", DecontaminationParams),
    )
    job.metrics(write_dataset(task, synth, job.paths.out, job.paths.plot))


if __name__ == "__main__":
    run(main, "teacher", "seeds", "evals", "template", "out", "metrics", "plot")
