"""`montessori bench ...`: measure the speed of a part of the pipeline on this machine."""

from pathlib import Path
from typing import Annotated, Any

import typer

from montessori.graph.load import FILE

bench = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")

#: Options that several commands have.
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all cores.")]
Json = Annotated[Path | None, typer.Option(help="File for the figures.")]


def _save_figures(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures where `--json` says; nothing without it."""
    from montessori.artifacts.files import write_json

    if path:
        write_json(path, figures)


@bench.command("influence")
def bench_influence(
    model: Annotated[
        str,
        typer.Argument(
            help="A model folder, or llama3-8b, llama3-1b, tinyllama-1.1b, smollm2-135m."
        ),
    ],
    probes: Annotated[Path | None, typer.Option(help="JSONL rows to score.")] = None,
    references: Annotated[Path | None, typer.Option(help="JSONL reference rows.")] = None,
    warmup: Annotated[
        Path | None,
        typer.Option(help="JSONL rows of the warm-up; the first of --probes by default."),
    ] = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Probes that are timed; 0 = by time, at most 64.")
    ] = 0,
    reference_rows: Annotated[
        int, typer.Option(min=0, help="Reference rows; 0 = by time, at most 256.")
    ] = 0,
    warmup_steps: Annotated[
        int, typer.Option(min=0, help="Steps of warm-up; 0 = by time, at most 60.")
    ] = 0,
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Time for what is left to it, without --against.")
    ] = 2.0,
    against: Annotated[
        list[str] | None, typer.Option(help="oracle or published; repeat the option for both.")
    ] = None,
    audit_rows: Annotated[int, typer.Option(min=2, help="Probes of the oracle.")] = 64,
    published_rows: Annotated[
        int, typer.Option(min=1, help="Probes of the published procedure.")
    ] = 4,
    max_length: Annotated[
        int, typer.Option(min=2, help="Largest number of tokens of a row.")
    ] = 512,
    tokens: Annotated[int, typer.Option(min=4, help="Tokens of a random row.")] = 300,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    batch: Annotated[
        int, typer.Option(min=0, help="Rows of a backward pass; 0 = by the model's size.")
    ] = 0,
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations.")] = False,
    compile: Annotated[
        bool | None,
        typer.Option(help="Large weights in one kernel by torch.compile; else if it can."),
    ] = None,
    device: Device = "auto",
    threads: Threads = 0,
    json: Json = None,
) -> None:
    """Measure influence: probes per second, accuracy against the exact step, and speed against the
    published procedure.

    A shape has random weights and random rows, so it needs no download.
    """
    from montessori.bench.influence import measure_influence
    from montessori.bench.world import Compute, Options, RowFiles, Sizes

    timed = (rows, reference_rows, warmup_steps, minutes)
    sizes = Sizes(*timed, audit_rows, published_rows, max_length, tokens)
    compute = Compute(precision, batch, checkpointing, compile, device, threads)
    files = RowFiles(probes, references, warmup)
    options = Options(model, files, sizes, compute, tuple(against or ()))
    _save_figures(json, measure_influence(options, typer.echo))


@bench.command("train")
def bench_train(
    model: Annotated[
        str, typer.Argument(help="A model folder, or a shape, as of bench influence.")
    ],
    batch: Annotated[int, typer.Option(min=1, help="Rows, or pairs, of a step.")] = 8,
    tokens: Annotated[int, typer.Option(min=8, help="Tokens of a row.")] = 300,
    rank: Annotated[int, typer.Option(min=1, help="Of LoRA adapters.")] = 16,
    only: Annotated[
        list[str] | None,
        typer.Option(help="sft, sft-lora or dpo; repeat the option for several. All by default."),
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Time for all measurements.")] = 2.0,
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations.")] = False,
    device: Device = "auto",
    threads: Threads = 0,
    json: Json = None,
) -> None:
    """Measure steps of SFT, of SFT with adapters and of DPO, by the trainers of the stages."""
    from montessori.bench.training import Options, measure_training
    from montessori.pipeline.machine import Machine

    machine = Machine(
        device=device,  # type: ignore[arg-type]
        threads=threads,
        gradient_checkpointing="on" if checkpointing else "off",
    )
    options = Options(model, batch, tokens, rank, minutes, tuple(only or ()), machine)
    _save_figures(json, measure_training(options, typer.echo))


@bench.command("generate")
def bench_generate(
    model: Annotated[Path, typer.Argument(help="A model folder, such as data/micro/teacher.")],
    engine: Annotated[
        str, typer.Option(help="transformers, vllm, openai, separated by commas.")
    ] = "transformers,vllm",
    prompts: Annotated[int, typer.Option(min=1, help="Instruction prompts of the lab.")] = 250,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a prompt.")] = 4,
    new_tokens: Annotated[
        int, typer.Option(min=1, help="Largest number of tokens of a sample.")
    ] = 96,
    device: Device = "auto",
    threads: Threads = 0,
    server: Annotated[str, typer.Option(help="Address for engine openai.")] = "",
    in_flight: Annotated[
        int, typer.Option(min=1, help="Requests to the server at the same time.")
    ] = 64,
    json: Json = None,
) -> None:
    """Measure tokens per second of each engine, and of vLLM through our code against vLLM alone."""
    from montessori.bench.generation import Options, machine_of, measure_generation

    machine = machine_of(device, threads, server, in_flight)
    options = Options(model, tuple(engine.split(",")), prompts, samples, new_tokens, machine)
    figures = measure_generation(options, typer.echo)
    _save_figures(json, figures)


@bench.command("icl")
def bench_icl(
    student: Annotated[Path, typer.Argument(help="A model folder, such as data/models/student.")],
    rows: Annotated[Path, typer.Option(help="A folder of drafts or of a probe.")],
    questions: Annotated[Path, typer.Option(help="A preference set, tasks, or rows.")],
    sample: Annotated[
        int, typer.Option(min=2, help="Demonstrations, spread evenly over the rows.")
    ] = 64,
    most: Annotated[int, typer.Option(min=1, help="Questions of each demonstration.")] = 40,
    single: Annotated[int, typer.Option(min=0, help="Calls that are also timed one by one.")] = 64,
    threads: Threads = 0,
    device: Device = "auto",
    json: Json = None,
) -> None:
    """Compare in-context scores by log-probability with scores by generation: time and agreement.

    Only closed questions are used, because answers to open ones are generated in any case. All
    settings are those of section icl in params.yaml.
    """
    from montessori.bench.icl import Options, measure_icl
    from montessori.graph.load import read_yaml, require_section
    from montessori.signals.icl.settings import IclParams

    settings = require_section(read_yaml(FILE), "icl", IclParams)
    options = Options(student, rows, questions, sample, most, single, threads, device)
    figures = measure_icl(options, settings, typer.echo)
    _save_figures(json, figures)


@bench.command("filters")
def bench_filters(
    rows: Annotated[Path, typer.Option(help="JSONL rows, or instructions only.")],
    seeds: Annotated[Path | None, typer.Option(help="JSONL rows that come before --rows.")] = None,
    limit: Annotated[
        float, typer.Option(help="ROUGE-L F-measure above which a row is dropped.")
    ] = 0.7,
    sample: Annotated[
        int, typer.Option(min=2, help="Rows whose pairs rouge_score compares.")
    ] = 400,
    published_rows: Annotated[
        int, typer.Option(min=1, help="Rows that the published procedure decides.")
    ] = 8,
    json: Json = None,
) -> None:
    """Measure the near-duplicate filter: time, correct decisions, speed against the published code.

    Decisions are checked by comparing every pair, and on a sample with rouge_score itself.
    """
    from montessori.bench.filters import Options, measure_filters

    figures = measure_filters(Options(rows, seeds, limit, sample, published_rows), typer.echo)
    _save_figures(json, figures)
    if not figures["equal"]:
        raise typer.Exit(1)


@bench.command("harness")
def bench_harness(
    model: Annotated[Path, typer.Argument(help="A model folder, such as data/students/mine.")],
    data: Annotated[Path, typer.Option(help="Folder of benchmark files, as in harness.data.")],
    task: Annotated[str, typer.Option(help="A task of lm-eval.")] = "gsm8k",
    shots: Annotated[int, typer.Option(help="Examples; -1 = the task's own number.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="First items; 0 = all.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a forward pass.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions of each.")] = 3,
    device: Device = "auto",
    threads: Threads = 0,
    json: Json = None,
) -> None:
    """Compare our stage for public benchmarks with lm-eval called directly: time and scores."""
    from montessori.bench.generation import machine_of
    from montessori.bench.harness import Options, measure_harness

    machine = machine_of(device, threads, "", 1)
    options = Options(model, task, shots, data, limit, batch, rounds, machine)
    figures = measure_harness(options, typer.echo)
    _save_figures(json, figures)
    if not figures["equal"]:
        raise typer.Exit(1)
