"""ARTE's preference pairs: questions and rationales by what students learn from them."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/prefs/<name> from drafts and their in-context scores."""
    from montessori.pairs.arte import AlignParams, write_arte_pairs

    paths = job.paths
    settings = job.section("align", AlignParams)
    job.metrics(write_arte_pairs(paths.drafts, paths.scores, paths.out, settings, job.seed))


if __name__ == "__main__":
    run(main, "drafts", "scores", "out", "metrics")
