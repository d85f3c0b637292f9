"""DPO aligns the teacher with ARTE's pairs."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/teachers/<name> from a start teacher and ARTE's preference pairs."""
    from montessori.train.dpo import train_teacher
    from montessori.train.settings import TeacherDpoParams

    paths = job.paths
    settings = job.section("teacher_dpo", TeacherDpoParams, rows="alignments")
    job.metrics(
        train_teacher(
            paths.start,
            paths.pairs,
            paths.out,
            paths.plot,
            settings,
            job.seed,
            job.machine,
            f"align-dpo {job.name}",
        )
    )


if __name__ == "__main__":
    run(main, "start", "pairs", "out", "metrics", "plot")
