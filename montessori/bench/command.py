"""`montessori bench ...`: each measurement as a command."""

from pathlib import Path
from typing import Annotated

import typer

from montessori.graph.load import FILE

bench = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")


@bench.command("influence")
def bench_influence(
    model: Annotated[
        str, typer.Argument(help="A model folder, or llama3-8b, llama3-1b, tinyllama-1.1b.")
    ],
    probes: Annotated[Path | None, typer.Option(help="JSONL rows to score.")] = None,
    references: Annotated[Path | None, typer.Option(help="JSONL reference rows.")] = None,
    warmup: Annotated[
        Path | None, typer.Option(help="JSONL rows of the warm-up; else the first of --probes.")
    ] = None,
    rows: Annotated[int, typer.Option(min=2, help="Probes that are timed.")] = 64,
    reference_rows: Annotated[int, typer.Option(min=1, help="Reference rows.")] = 256,
    against: Annotated[
        list[str] | None, typer.Option(help="oracle, published; may be given twice.")
    ] = None,
    audit_rows: Annotated[int, typer.Option(min=2, help="Probes of the oracle.")] = 64,
    published_rows: Annotated[
        int, typer.Option(min=1, help="Probes of the published procedure.")
    ] = 4,
    max_length: Annotated[int, typer.Option(min=2, help="Tokens of a row at most.")] = 512,
    tokens: Annotated[int, typer.Option(min=4, help="Tokens of a random row.")] = 300,
    precision: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    batch: Annotated[
        int, typer.Option(min=0, help="Rows of a backward pass; 0 = by the model's size.")
    ] = 0,
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations.")] = False,
    compile: Annotated[
        bool, typer.Option(help="One kernel for the reduction, by torch.compile.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all cores.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Influence: probes a second, truth against the exact step, ratio to the published procedure.

    A shape has random weights and random rows, so it needs no download.
    """
    from montessori.artifacts.files import write_json
    from montessori.bench.influence import bench as measure
    from montessori.bench.world import Options

    options = Options(
        model=model, probes=probes, references=references, warmup=warmup, rows=rows,
        reference_rows=reference_rows, audit_rows=audit_rows, published_rows=published_rows,
        max_length=max_length, tokens=tokens, precision=precision, batch=batch,
        checkpointing=checkpointing, compiled=compile, device=device, threads=threads,
        against=tuple(against or ()),
    )  # fmt: skip
    figures = measure(options, typer.echo)
    if json:
        write_json(json, figures)


@bench.command("generate")
def bench_generate(
    model: Annotated[Path, typer.Argument(help="A model folder, such as data/micro/teacher.")],
    engine: Annotated[
        str, typer.Option(help="transformers, vllm, openai, with commas.")
    ] = "transformers,vllm",
    prompts: Annotated[int, typer.Option(min=1, help="Instruction prompts of the lab.")] = 250,
    samples: Annotated[int, typer.Option(min=1, help="Samples of a prompt.")] = 4,
    new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a sample at most.")] = 96,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all cores.")] = 0,
    server: Annotated[str, typer.Option(help="Address for engine openai.")] = "",
    in_flight: Annotated[int, typer.Option(min=1, help="Requests in flight at it.")] = 64,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Generation: tokens a second of each engine, and of vLLM through us against vLLM alone."""
    from montessori.artifacts.files import write_json
    from montessori.bench.generation import Options, machine_of
    from montessori.bench.generation import bench as measure

    options = Options(
        model=model, engines=tuple(engine.split(",")), prompts=prompts, samples=samples,
        new_tokens=new_tokens, machine=machine_of(device, threads, server, in_flight),
    )  # fmt: skip
    figures = measure(options, typer.echo)
    if json:
        write_json(json, figures)


@bench.command("icl")
def bench_icl(
    student: Annotated[Path, typer.Argument(help="A model folder: data/models/student.")],
    rows: Annotated[Path, typer.Option(help="A folder of drafts or of a probe.")],
    questions: Annotated[Path, typer.Option(help="A preference set, tasks, or rows.")],
    sample: Annotated[int, typer.Option(min=2, help="Demonstrations, evenly spread.")] = 64,
    most: Annotated[int, typer.Option(min=1, help="Questions of each.")] = 40,
    single: Annotated[int, typer.Option(min=0, help="Calls also timed one by one.")] = 64,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all cores.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """In-context scores by log-probability and by plain generation: time, and whether they agree.

    On closed questions, which are answered at once; open ones are written in either way.
    Templates, ways to state an answer and the rest are those of section icl in params.yaml.
    """
    from montessori.artifacts.files import write_json
    from montessori.bench.icl import Options
    from montessori.bench.icl import bench as measure
    from montessori.graph.load import load, section
    from montessori.signals.icl.settings import IclParams

    settings = section(load(FILE), "icl", IclParams)
    options = Options(student, rows, questions, sample, most, single, threads, device)
    figures = measure(options, settings, typer.echo)
    if json:
        write_json(json, figures)


@bench.command("filters")
def bench_filters(
    rows: Annotated[Path, typer.Option(help="JSONL rows, or instructions alone.")],
    seeds: Annotated[Path | None, typer.Option(help="JSONL rows that count as earlier.")] = None,
    limit: Annotated[float, typer.Option(help="ROUGE-L F-measure above which one goes.")] = 0.7,
    sample: Annotated[
        int, typer.Option(min=2, help="Rows of which rouge_score compares every pair.")
    ] = 400,
    published_rows: Annotated[
        int, typer.Option(min=1, help="Rows that the published procedure decides.")
    ] = 8,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Near-duplicates: seconds, equal decisions, ratio to the published procedure.

    All rows are also decided by comparing every pair, a sample with rouge_score itself.
    """
    from montessori.artifacts.files import write_json
    from montessori.bench.filters import Options
    from montessori.bench.filters import bench as measure

    figures = measure(Options(rows, seeds, limit, sample, published_rows), typer.echo)
    if json:
        write_json(json, figures)
    if not figures["equal"]:
        raise typer.Exit(1)


@bench.command("harness")
def bench_harness(
    model: Annotated[Path, typer.Argument(help="A model folder, such as data/students/mine.")],
    data: Annotated[Path, typer.Option(help="Folder of benchmark files, as harness.data.")],
    task: Annotated[str, typer.Option(help="A task of lm-eval.")] = "gsm8k",
    shots: Annotated[int, typer.Option(help="Examples; -1 = the task's own number.")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="First items; 0 = all.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a forward pass.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 = all cores.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Public benchmarks: our stage against lm-eval called directly, time and scores."""
    from montessori.artifacts.files import write_json
    from montessori.bench.generation import machine_of
    from montessori.bench.harness import Options
    from montessori.bench.harness import bench as measure

    machine = machine_of(device, threads, "", 1)
    options = Options(model, task, shots, data, limit, batch, rounds, machine)
    figures = measure(options, typer.echo)
    if json:
        write_json(json, figures)
    if not figures["equal"]:
        raise typer.Exit(1)
