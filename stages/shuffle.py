"""Placebo: the scores of a table permuted within each prompt."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/shuffle/<name> from a scores table."""
    from montessori.signals.shuffle import shuffle_scores

    shuffle_scores(job.paths.scores, job.paths.out, job.seed)


if __name__ == "__main__":
    run(main, "scores", "out")
