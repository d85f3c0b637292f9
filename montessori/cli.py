"""The command line `montessori`: one function per command.

Each command imports its code only when it runs, so that help and checks are quick.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from montessori.bench.command import bench
from montessori.errors import MontessoriError, escape_controls
from montessori.evals.published.score_command import score
from montessori.graph.load import FILE

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Settings, checks and the proof of the pipeline. The pipeline itself is `dvc repro`.",
)
add = typer.Typer(no_args_is_help=True, help="Add rows to params.yaml.")
app.add_typer(add, name="add")
app.add_typer(bench, name="bench")
app.add_typer(score, name="score")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the difference, write nothing.")]


def _show(text: str, err: bool = False) -> None:
    """Print a text of any source: nothing in it may steer the terminal."""
    typer.echo(escape_controls(text), err=err)


@app.command()
def check() -> None:
    """Report every problem of params.yaml and of the files that it names at once.

    Keys, values, names of rows, references, paths, recipes, hub revisions and lm-eval tasks, each
    with its line. Nothing is run or fetched.
    """
    from montessori.commands.check import check_file

    check_file(Path(FILE), root=Path())
    _show(f"{FILE} is right")


@add.command("round")
def add_round(
    name: Annotated[str, typer.Argument(help="Name of the new round, such as montessori-3.")],
    old: Annotated[str, typer.Option("--from", help="The round whose teacher it starts from.")],
    dry_run: DryRun = False,
) -> None:
    """Write the rows of a standard round, from its probe to its run."""
    from montessori.commands.add import apply_round

    _show(apply_round(Path(FILE), name, old, dry_run))


@add.command("benchmark")
def add_benchmark(
    task: Annotated[str, typer.Argument(help="A task of lm-eval, such as gsm8k.")],
    shots: Annotated[
        int, typer.Option(min=-1, help="Examples before a question; -1 = the task's own number.")
    ] = -1,
    runs: Annotated[
        str, typer.Option(help="Runs that take it, separated by commas; all by default.")
    ] = "",
    dry_run: DryRun = False,
) -> None:
    """Let runs take a public benchmark: a row of harnesses for each."""
    from montessori.commands.add import apply_benchmark

    named = [run.strip() for run in runs.split(",") if run.strip()]
    _show(apply_benchmark(Path(FILE), task, shots, named, dry_run))


@app.command()
def profile(
    name: Annotated[
        str, typer.Argument(help="A file of profiles/, without .yaml; lab: what git has committed.")
    ] = "lab",
    dry_run: DryRun = False,
) -> None:
    """Merge profiles/NAME.yaml into params.yaml.

    Without a name, the settings and rows of the params.yaml of the last commit come back; seed,
    machine and rows that were added stay.
    """
    from montessori.commands.add import apply_profile

    _show(apply_profile(Path(FILE), Path("profiles"), name, dry_run))


@app.command()
def doctor() -> None:
    """Check versions, devices, memory, disk, DVC and git, and say what to do."""
    from montessori.commands.doctor import examine_checkout, format_findings

    findings = examine_checkout(Path())
    _show(format_findings(findings))
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command("try")
def try_a_model(
    model: Annotated[
        Path, typer.Argument(help="A model folder, or a .json file, as in section models.")
    ],
    roles: Annotated[
        list[str] | None,
        typer.Option("--as", help="teacher, student or judge; all by default. May be repeated."),
    ] = None,
) -> None:
    """Ask of a model what the stages will ask, on eight rows, and say what to do.

    Settings are those of params.yaml here, else those of one GPU. Status 1 if there is a problem.
    """
    from montessori.commands.try_model import read_roles, try_model

    def tell(text: str) -> None:
        _show(text, err=True)

    if not try_model(model, read_roles(roles or []), _show, tell):
        raise typer.Exit(1)


@app.command()
def table() -> None:
    """Print the comparison of the runs: values, differences, intervals."""
    from montessori.compare.comparison_table import format_comparison
    from montessori.compare.older_code import older_note
    from montessori.graph.load import read_yaml

    params = read_yaml(FILE)
    _show(format_comparison(Path("metrics/compare.json"), params))
    note = older_note(Path(), params)
    if note:
        _show(note)


@app.command()
def budgets(
    json: Annotated[Path | None, typer.Option(help="File for the figures.")] = None,
) -> None:
    """Print what each run cost: teacher tokens, FLOPs, judge calls, seconds."""
    from montessori.commands.budgets import write_budgets

    _show(write_budgets(Path(), json))


@app.command("report")
def write_report(
    out: Annotated[
        Path, typer.Option(help="The folder to write; report/, which DVC tracks, has no samples.")
    ] = Path(".work/report"),
) -> None:
    """Write the report with sample rows and answers from the existing files."""
    from montessori.commands.report import write_sample_report

    write_sample_report(out, Path())
    _show(f"Report: {Path(out, 'index.html').resolve()}")


@app.command()
def proof(
    seeds: Annotated[str, typer.Option(help="Such as 0-4 or 0,2,7-9.")] = "0-4",
    profile: Annotated[
        str, typer.Option(help="A file of profiles/, without .yaml: the rows that are added.")
    ] = "controls",
    students: Annotated[
        str, typer.Option(help="Rows of models; the first gets the profile's rows.")
    ] = "student,student-2",
    jobs: Annotated[int, typer.Option(help="Experiments that run at once.")] = 2,
    pages: Annotated[
        bool,
        typer.Option("--pages", help="Run nothing; write the pages from the existing records."),
    ] = False,
) -> None:
    """Run the pipeline over seeds and students as DVC experiments, and write the proof."""
    from montessori.proof import run_proof

    written = run_proof(seeds=seeds, profile=profile, students=students, jobs=jobs, pages=pages)
    for path in written:
        _show(f"written: {path}")


@app.command()
def shard(
    stage: Annotated[str, typer.Argument(help="A stage of dvc.yaml: influence@montessori-1.")],
    which: Annotated[str, typer.Argument(help="Which of how many, such as 2/3.")],
) -> None:
    """Compute one share of a stage's parts: start one for each of n processes, then `dvc repro`.

    Machines that share the folder .work share the parts. The stage's inputs must exist: run
    `dvc repro` up to the stage before it, or `dvc pull`.
    """
    from montessori.pipeline.shard import run_shard

    raise typer.Exit(run_shard(Path(), stage, which))


def main() -> NoReturn:
    """Run the command line; what the user can solve is shown without a traceback, status 2."""
    from montessori.pipeline.system_errors import explain_system_error

    explained: MontessoriError | None
    try:
        app()
        sys.exit(0)
    except MontessoriError as error:
        explained = error
    except Exception as error:
        explained = explain_system_error(error)
        if explained is None:
            raise
    _show(str(explained), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
