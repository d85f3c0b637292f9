"""Figures of verdict files as lines for a person."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from montessori.evals.published.alpaca_scores import METHODS

NOTHING = "-"


def format_alpaca_eval(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.alpaca_scores.score_comparison`."""
    method = METHODS.get(figures["length_controlled_method"], "not to be had, see below")
    rates = [
        (
            "win rate",
            figures["win_rate"],
            f"standard error {_format_number(figures['standard_error'])}",
        ),
        ("length-controlled win rate", figures["length_controlled_winrate"], method),
        ("discrete win rate", figures["discrete_win_rate"], "a tie counts half"),
    ]
    judge = figures["annotator"] or "an unnamed judge"
    return [
        f"{figures['model']} against {figures['reference']}, judged by {judge}",
        *(f"  {name:<27}{_format_number(value):>7}  ({note})" for name, value, note in rates),
        f"  {figures['n_total']} verdicts: {figures['n_wins']} won, "
        f"{figures['n_wins_base']} lost, {figures['n_draws']} tied",
        f"  answers of {_format_count(figures['avg_length'])} characters on average, "
        f"the reference's of {_format_count(figures['avg_length_reference'])}",
        f"  left out: {figures['n_unparsed']} without a preference, {figures['n_invalid']} whose "
        "preference is no number from 1 to 2",
        *_other_rates(figures),
        *_oddity_lines(figures),
        *(f"  note: {note}" for note in figures["notes"]),
        *(f"  {kind}: {path}" for kind, path in figures["files"].items()),
    ]


def _other_rates(figures: Mapping[str, Any]) -> list[str]:
    """The length-controlled rate by the methods that are not the headline."""
    return [
        f"  length-controlled otherwise: {_format_number(rate)} ({METHODS[method]})"
        for method, rate in figures["length_controlled_by_method"].items()
        if method != figures["length_controlled_method"]
    ]


def _oddity_lines(figures: Mapping[str, Any]) -> list[str]:
    found = []
    if figures["n_swapped"]:
        found.append(f"  {figures['n_swapped']} rows name the model first; they are turned round")
    if figures["n_duplicates"]:
        found.append(
            f"  {figures['n_duplicates']} rows repeat an instruction and count like others; "
            f"with each instruction once the win rate is "
            f"{_format_number(figures['win_rate_by_instruction'])}"
        )
    return found


def format_mt_bench(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.mt_bench_scores.score_judgments`."""
    text = [
        _align_table(
            ["model", "score", "turn 1", "turn 2", *_category_names(figures)],
            [
                _single_row(model, of, _category_names(figures))
                for model, of in figures["models"].items()
            ],
        ),
        f"{figures['n_graded']} of {figures['n_rows']} rows graded{_left_out(figures)}",
    ]
    if figures["n_disagreements"]:
        text.append(
            f"{figures['n_disagreements']} rows whose text holds another rating than their score; "
            "the score counts: lines "
            + ", ".join(str(row["line"]) for row in figures["disagreements"])
        )
    if figures["n_copies"]:
        text.append(f"{figures['n_copies']} rows are whole copies of others")
    return [
        *text,
        *_repeat_lines(figures),
        *_judge_lines(figures),
        f"categories: {figures['categories']}",
    ]


def _single_row(model: str, of: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    numbers = [of["score"], of["turns"].get("1"), of["turns"].get("2")]
    return [
        model,
        *map(_format_number, [*numbers, *(of["categories"].get(name) for name in names)]),
    ]


def _repeat_lines(figures: Mapping[str, Any]) -> list[str]:
    """What several verdicts on the same answer do to the scores."""
    text = []
    for model, of in figures["models"].items():
        once, runs = of["each_answer_once"], of["judge_runs"]
        if once["n_answers"] < of["n_graded"]:
            turns = ", ".join(
                f"turn {t} {_format_number(value)}" for t, value in once["turns"].items()
            )
            text.append(
                f"{model}: each answer once {_format_number(once['score'])} ({turns}); "
                f"{runs['answers']} answers judged several times, their verdicts "
                f"{_format_number(runs['spread'])} apart on average"
            )
        if runs["scores"]:
            text.append(
                f"{model}: {len(runs['scores'])} judge runs, "
                f"median {_format_number(runs['median'])}, "
                f"from {_format_number(runs['lowest'])} to {_format_number(runs['highest'])}"
            )
    return text


def format_pairwise(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.pairwise_wins.score_matches`."""
    names = _category_names(figures)
    rows = []
    for model, of in figures["models"].items():
        by_category = [of["categories"].get(name, {}).get("win_rate_adjusted") for name in names]
        numbers = [of["win_rate_adjusted"], of["win_rate"], of["loss_rate"], *by_category]
        rows.append([model, *map(_format_number, numbers)])
    return [
        _align_table(["model", "adjusted", "wins", "losses", *names], rows),
        f"{figures['n_counted']} of {figures['n_rows']} comparisons counted{_left_out(figures)}",
        f"{figures['n_inconsistent']} whose two orders differ: ties",
        f"{figures['n_disagreements']} whose text names another winner than the row",
        *_judge_lines(figures),
        f"categories: {figures['categories']}",
    ]


def _category_names(figures: Mapping[str, Any]) -> list[str]:
    return sorted({name for of in figures["models"].values() for name in of["categories"]})


def _left_out(figures: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in figures["left_out"].items() if count)
    return f"; left out: {reasons}" if reasons else ""


def _judge_lines(figures: Mapping[str, Any]) -> list[str]:
    judges = [name or "unnamed" for name in figures["judges"]]
    return [f"note: judged by {', '.join(judges)}, all in one mean"] if len(judges) > 1 else []


def _align_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    )


def _format_number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _format_count(value: int | None) -> str:
    return NOTHING if value is None else str(value)
