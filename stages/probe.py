"""Probing data: a teacher writes instructions, several a prompt, and responses to them."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/probe/<name>: every sample of the teacher, kept or why it was dropped."""
    from dataclasses import replace

    from montessori.filters.settings import DecontaminationParams
    from montessori.writing.assign import assignment
    from montessori.writing.produce import write_probe
    from montessori.writing.settings import ProbeParams

    probe = job.section("probe", ProbeParams, rows="probes")
    task = replace(
        assignment(job, ("teacher", "seeds", "evals", "template")),
        decontamination=job.section("decontamination", DecontaminationParams),
    )
    job.metrics(write_probe(task, probe, job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "seeds", "evals", "template", "out", "metrics")
