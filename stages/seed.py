"""Seed pool, reference sets and eval sets from the sources named in params."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/seed/*: the sets that everything starts from, disjoint by check."""
    from montessori.filters.settings import DecontaminationParams
    from montessori.sources.rows.settings import ReadingParams
    from montessori.sources.seed import prepare_sources

    paths = job.paths
    decontamination = job.section("decontamination", DecontaminationParams)
    job.metrics(
        prepare_sources(
            {
                "seeds": paths.seeds,
                "reference": paths.reference,
                "other_reference": paths.other_reference,
            },
            paths.evals,
            {
                "seeds": paths.out_seeds,
                "reference": paths.out_reference,
                "other_reference": paths.out_other_reference,
            },
            paths.out_evals,
            decontamination.ngram,
            paths.heldout,
            job.section("reading", ReadingParams),
        )
    )


if __name__ == "__main__":
    run(
        main,
        "seeds",
        "reference",
        "other-reference",
        "evals",
        "heldout",
        "out-seeds",
        "out-reference",
        "out-other-reference",
        "out-evals",
        "metrics",
    )
