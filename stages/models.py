"""A base model in one layout: safetensors, tokenizer, chat template settled."""

from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    """Write data/models/<role> from a model folder, or from the hub at a pinned revision."""
    from montessori.models.prepare import ModelParams, prepare_model

    options = job.section("model", ModelParams, rows="models").template_options
    prepare_model(job.paths.source, job.paths.template, job.paths.out, options)


if __name__ == "__main__":
    run(main, "source", "template", "out")
