"""The code that each stage depends on, as a list of files with digests."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/code: one list per stage script."""
    from montessori.pipeline.code import write_lists

    write_lists(job.paths.package, job.paths.scripts, job.paths.out)


if __name__ == "__main__":
    run(main, "package", "scripts", "out")
