"""The code that each stage depends on, as a list of files with digests."""

from montessori.stage import Job, run


def main(job: Job) -> None:
    """Write data/code: one list per stage script."""
    from montessori.closure import write_lists

    write_lists(job.paths.package, job.paths.scripts, job.paths.out)


if __name__ == "__main__":
    run(main, "package", "scripts", "out")
