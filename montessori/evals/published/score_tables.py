"""Writes the figures of verdict files as lines for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from montessori.evals.published.alpaca_scores import METHODS

NOTHING = "-"


def format_alpaca_eval(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.alpaca_scores.score_comparison`."""
    method = METHODS.get(figures["length_controlled_method"], "not available, see below")
    error = f"standard error {_format_number(figures['standard_error'])}"
    judge = figures["annotator"] or "an unnamed judge"
    lines = [
        f"{figures['model']} against {figures['reference']}, judged by {judge}",
        _rate_line("win rate", figures["win_rate"], error),
        _rate_line("length-controlled win rate", figures["length_controlled_winrate"], method),
        _rate_line("discrete win rate", figures["discrete_win_rate"], "a tie counts half"),
        f"  {figures['n_total']} verdicts: {figures['n_wins']} won, "
        f"{figures['n_wins_base']} lost, {figures['n_draws']} tied",
        f"  answers of {_format_count(figures['avg_length'])} characters on average, "
        f"the reference's of {_format_count(figures['avg_length_reference'])}",
        f"  not counted: {figures['n_unparsed']} without a preference, {figures['n_invalid']} "
        "whose preference is not a number from 1 to 2",
    ]
    for other, rate in figures["length_controlled_by_method"].items():
        if other != figures["length_controlled_method"]:
            value = _format_number(rate)
            lines.append(f"  length-controlled by another method: {value} ({METHODS[other]})")
    lines += _oddity_lines(figures)
    lines += [f"  note: {note}" for note in figures["notes"]]
    lines += [f"  {kind}: {path}" for kind, path in figures["files"].items()]
    return lines


def _rate_line(name: str, value: float | None, note: str) -> str:
    return f"  {name:<27}{_format_number(value):>7}  ({note})"


def _oddity_lines(figures: Mapping[str, Any]) -> list[str]:
    lines = []
    if figures["n_swapped"]:
        lines.append(f"  {figures['n_swapped']} rows name the model first; they are swapped")
    if figures["n_duplicates"]:
        rate = _format_number(figures["win_rate_by_instruction"])
        lines.append(
            f"  {figures['n_duplicates']} rows repeat an instruction and count like others; "
            f"with each instruction counted once the win rate is {rate}"
        )
    return lines


def format_mt_bench(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.mt_bench_scores.score_judgments`."""
    names = _category_names(figures)
    rows = []
    for model, scores in figures["models"].items():
        numbers = [scores["score"], scores["turns"].get("1"), scores["turns"].get("2")]
        numbers += [scores["categories"].get(name) for name in names]
        rows.append([model, *map(_format_number, numbers)])
    lines = [
        _align_table(["model", "score", "turn 1", "turn 2", *names], rows),
        f"{figures['n_graded']} of {figures['n_rows']} rows graded{_not_counted(figures)}",
    ]
    if figures["n_disagreements"]:
        listed = ", ".join(str(row["line"]) for row in figures["disagreements"])
        lines.append(
            f"{figures['n_disagreements']} rows whose text has another rating than their score; "
            f"the score counts: lines {listed}"
        )
    if figures["n_copies"]:
        lines.append(f"{figures['n_copies']} rows are exact copies of others")
    lines += _repeat_lines(figures)
    lines += _judge_lines(figures)
    return [*lines, f"categories: {figures['categories']}"]


def _repeat_lines(figures: Mapping[str, Any]) -> list[str]:
    """How several verdicts on the same answers change the scores."""
    lines = []
    for model, scores in figures["models"].items():
        once, runs = scores["each_answer_once"], scores["judge_runs"]
        if once["n_answers"] < scores["n_graded"]:
            by_turn = [f"turn {turn} {_format_number(s)}" for turn, s in once["turns"].items()]
            lines.append(
                f"{model}: each answer once {_format_number(once['score'])} "
                f"({', '.join(by_turn)}); {runs['answers']} answers judged several times, "
                f"their verdicts {_format_number(runs['spread'])} apart on average"
            )
        if runs["scores"]:
            lines.append(
                f"{model}: {len(runs['scores'])} judge runs, "
                f"median {_format_number(runs['median'])}, "
                f"from {_format_number(runs['lowest'])} to {_format_number(runs['highest'])}"
            )
    return lines


def format_pairwise(figures: Mapping[str, Any]) -> list[str]:
    """Lines of the figures of `montessori.evals.published.pairwise_wins.score_matches`."""
    names = _category_names(figures)
    rows = []
    for model, rates in figures["models"].items():
        by_category = [rates["categories"].get(name, {}).get("win_rate_adjusted") for name in names]
        numbers = [rates["win_rate_adjusted"], rates["win_rate"], rates["loss_rate"], *by_category]
        rows.append([model, *map(_format_number, numbers)])
    return [
        _align_table(["model", "adjusted", "wins", "losses", *names], rows),
        f"{figures['n_counted']} of {figures['n_rows']} comparisons counted{_not_counted(figures)}",
        f"{figures['n_inconsistent']} whose two orders differ: ties",
        f"{figures['n_disagreements']} whose text names another winner than the row",
        *_judge_lines(figures),
        f"categories: {figures['categories']}",
    ]


def _category_names(figures: Mapping[str, Any]) -> list[str]:
    names: set[str] = set()
    for scores in figures["models"].values():
        names.update(scores["categories"])
    return sorted(names)


def _not_counted(figures: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{count} {why}" for why, count in figures["left_out"].items() if count)
    return f"; not counted: {reasons}" if reasons else ""


def _judge_lines(figures: Mapping[str, Any]) -> list[str]:
    judges = [name or "unnamed" for name in figures["judges"]]
    return [f"note: judged by {', '.join(judges)}, all in one mean"] if len(judges) > 1 else []


def _align_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under a head in columns of equal width, the first one aligned left, others right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = []
    for first, *numbers in lines:
        cells = [first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]
        texts.append("  ".join(cells).rstrip())
    return "\n".join(texts)


def _format_number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _format_count(value: int | None) -> str:
    return NOTHING if value is None else str(value)
