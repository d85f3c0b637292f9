"""A base model in one layout: safetensors, tokenizer, chat template settled."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/models/<role> from a model folder, or from the hub at a pinned revision."""
    from montessori.models.prepare import prepare_model

    prepare_model(job.paths.source, job.paths.template, job.paths.out)


if __name__ == "__main__":
    run(main, "source", "template", "out")
