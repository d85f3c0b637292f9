"""Probing data: a teacher writes instructions, several a prompt, and responses to them."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/probe/<name>: every sample of the teacher, kept or why it was dropped."""
    from montessori.writing.order import read_order
    from montessori.writing.produce import read_writing_settings, write_probe
    from montessori.writing.settings import ProbeParams

    order = read_order(job, ("teacher", "seeds", "evals", "template"))
    probe = job.section("probe", ProbeParams, rows="probes")
    job.metrics(write_probe(order, read_writing_settings(job), probe, job.paths.out))


if __name__ == "__main__":
    run(main, "teacher", "seeds", "evals", "template", "out", "metrics")
