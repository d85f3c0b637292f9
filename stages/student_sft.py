"""A base student learns a dataset, assistant tokens only."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/students/<name> from a base student and a dataset."""
    from montessori.models.adapters import AdapterParams
    from montessori.train.settings import StudentSftParams
    from montessori.train.sft import train_student

    paths = job.paths
    settings = job.section("student_sft", StudentSftParams, rows="students")
    job.metrics(
        train_student(
            paths.student,
            paths.dataset,
            paths.out,
            paths.plot,
            settings,
            job.seed,
            job.machine,
            f"student-sft {job.name}",
            job.section("adapter", AdapterParams),
        )
    )


if __name__ == "__main__":
    run(main, "student", "dataset", "out", "metrics", "plot")
