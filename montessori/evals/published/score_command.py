"""`montessori score`: figures of verdict files in the public formats."""

from pathlib import Path
from typing import Annotated, Any

import typer

from montessori.errors import escape_controls

score = typer.Typer(no_args_is_help=True, help="Score verdict files in the public formats.")

Json = Annotated[Path | None, typer.Option("--json", help="Where the figures go.")]


@score.command("alpaca-eval")
def alpaca_eval(
    annotations: Annotated[Path, typer.Option(help="AlpacaEval's annotations.json.")],
    json: Json = None,
    model: Annotated[
        str | None, typer.Option(help="The model that is scored; else the one named second.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="CSV of published coefficients, with a row of the model.")
    ] = None,
    difficulty: Annotated[
        Path | None, typer.Option(help="CSV of published instruction difficulties.")
    ] = None,
    gamed: Annotated[
        Path | None, typer.Option(help="AlpacaEval's df_gamed.csv: the fit is then as published.")
    ] = None,
    model_outputs: Annotated[
        Path | None, typer.Option(help="JSON of the model's answers, for rows without them.")
    ] = None,
    reference_outputs: Annotated[
        Path | None,
        typer.Option(help="JSON of the reference's answers; gives difficulties their order."),
    ] = None,
    find: Annotated[
        bool, typer.Option(help="Look for the CSV files above the annotations.")
    ] = True,
) -> None:
    """Win rate, standard error, length-controlled and discrete win rate of AlpacaEval 2.

    The length-controlled win rate is by the best method that the files allow: published weights
    of the model (with --difficulty), a fit as published (--difficulty, --gamed), a fit with
    --difficulty, a fit on length alone. The last two are approximate. The output names the method.
    """
    # Imported here, because `montessori --help` must not wait for NumPy and polars.
    from montessori.evals.published.alpaca_scores import control_length, score_comparison
    from montessori.evals.published.annotations import read_annotations, read_outputs
    from montessori.evals.published.length_control_files import (
        LengthControlFiles,
        find_files,
        paths_by_kind,
    )
    from montessori.evals.published.score_tables import format_alpaca_eval

    comparison = read_annotations(
        annotations,
        model,
        read_outputs(model_outputs) if model_outputs else None,
        read_outputs(reference_outputs) if reference_outputs else None,
    )
    files = LengthControlFiles(weights, difficulty, gamed, reference_outputs)
    if find:
        files = find_files(files, annotations, comparison)
    control = control_length(comparison, files, required=weights is not None)
    figures = {**score_comparison(comparison, control), "files": paths_by_kind(files)}
    _show_figures(format_alpaca_eval(figures), figures, json)


@score.command("mt-bench")
def mt_bench(
    judgments: Annotated[Path, typer.Option(help="JSONL of FastChat's model_judgment folder.")],
    json: Json = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="question.jsonl; else beside the judgments, else by question number."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Pairwise files: only comparisons with this model.")
    ] = None,
) -> None:
    """Scores of MT-Bench by model, turn and category; wins of a file of pairwise comparisons.

    Ratings are read again from the judges' texts and compared with the stored scores. Rows without
    a rating do not count; their number is shown. An answer judged twice counts twice, as in
    FastChat; beside it stand the score with each answer counted once, and how far its verdicts are
    apart.
    """
    from montessori.evals.published.judgments import (
        Judgment,
        Match,
        categories_for,
        find_questions,
        read_judgments,
    )
    from montessori.evals.published.mt_bench_scores import score_judgments
    from montessori.evals.published.mt_bench_turns import leave_out_turns
    from montessori.evals.published.pairwise_wins import score_matches
    from montessori.evals.published.score_tables import format_mt_bench, format_pairwise

    rows = leave_out_turns(read_judgments(judgments), find_questions(judgments, questions))
    categories, source = categories_for(rows, judgments, questions)
    matches = [row for row in rows if isinstance(row, Match)]
    graded = [row for row in rows if isinstance(row, Judgment)]
    if matches:
        figures = score_matches(matches, categories, baseline, str(judgments))
        figures["categories"] = source
        _show_figures(format_pairwise(figures), figures, json)
    else:
        figures = score_judgments(graded, categories, str(judgments))
        figures["categories"] = source
        _show_figures(format_mt_bench(figures), figures, json)


def _show_figures(lines: list[str], figures: dict[str, Any], json: Path | None) -> None:
    """Print the lines, and write the figures where `json` says."""
    from montessori.artifacts.files import write_json

    if json:
        write_json(json, figures)
    typer.echo(escape_controls("\n".join(lines)))
