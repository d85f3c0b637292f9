"""Preference pairs within a prompt, above neutral over below."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/prefs/<name> from a scores table and its probe."""
    from montessori.pairs.within_prompt import PrefsParams, write_pairs

    settings = job.section("prefs", PrefsParams, rows="rounds")
    job.metrics(write_pairs(job.paths.scores, job.paths.probe, job.paths.out, settings))


if __name__ == "__main__":
    run(main, "scores", "probe", "out", "metrics")
