"""DPO tunes a teacher to preference pairs: those of a round, or ARTE's of an alignment."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/teachers/<name> from a start teacher and preference pairs."""
    from montessori.train.dpo import train_teacher
    from montessori.train.settings import TeacherDpoParams

    paths = job.paths
    settings = job.section("teacher_dpo", TeacherDpoParams, rows=("rounds", "alignments"))
    job.metrics(
        train_teacher(
            paths.start,
            paths.pairs,
            paths.out,
            paths.plot,
            settings,
            job.seed,
            job.machine,
            f"teacher-dpo {job.name}",
        )
    )


if __name__ == "__main__":
    run(main, "start", "pairs", "out", "metrics", "plot")
