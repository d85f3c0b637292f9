"""Probing data of responses: several to each instruction of another probe."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/probe/<name>: a teacher's responses to instructions not used in warm-up."""
    from montessori.writing.order import read_order
    from montessori.writing.responses import write_responses
    from montessori.writing.settings import ResponseProbeParams

    order = read_order(job, ("probe", "warmup", "teacher"))
    settings = job.section("response_probe", ResponseProbeParams, rows="response_probes")
    job.metrics(write_responses(order, settings, job.paths.out))


if __name__ == "__main__":
    run(main, "probe", "warmup", "teacher", "out", "metrics")
