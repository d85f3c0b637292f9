"""The table of budgets, and the number of baseline rows that would cost as much as another run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from montessori.compare.costs import GPU_SECONDS, SECONDS, Budget
from montessori.graph.references import Rows

COMPARED = ("teacher_tokens", "student_flops")  # costs in proportion to the rows of a dataset
HEADERS = (
    "run",
    "rows",
    "teacher tokens",
    "student FLOPs",
    "teacher FLOPs",
    "judge calls",
    "judge tokens",
    "USD",
    "seconds",
    "GPU-seconds",
    "baseline rows at its tokens",
    "at its FLOPs",
)
IF_ANY = ("judge tokens", "GPU-seconds")  # columns that are dropped where they are 0 in every run


def cost_figures(budgets: Mapping[str, Budget], baseline: str) -> dict[str, dict[str, Any]]:
    """Rows, costs and the equivalents of the baseline by run, ready for JSON."""
    reference = budgets.get(baseline)
    figures = {}
    for name, budget in budgets.items():
        equivalents = _baseline_equivalents(budget, reference)
        figures[name] = {"rows": budget.rows, **asdict(budget.cost), **equivalents}
    return figures


def _baseline_equivalents(budget: Budget, baseline: Budget | None) -> dict[str, int | None]:
    """Number of rows with which the baseline would cost as much as the run.

    Teacher tokens grow with the rows written and FLOPs with the rows trained on, so both are
    proportions. None where a cost of either run is unknown or that of the baseline is 0.
    """
    equivalents: dict[str, int | None] = {}
    for cost in COMPARED:
        key = f"baseline_rows_at_equal_{cost}"
        equivalents[key] = None
        if baseline is None or not baseline.rows or not getattr(baseline.cost, cost):
            continue
        if _is_known(budget) and _is_known(baseline):
            own, reference = getattr(budget.cost, cost), getattr(baseline.cost, cost)
            equivalents[key] = round(baseline.rows * own / reference)
    return equivalents


def _is_known(budget: Budget) -> bool:
    """Whether all costs but times are known."""
    return all(name.startswith((SECONDS, GPU_SECONDS)) for name in budget.cost.unknown)


def format_costs(budgets: Mapping[str, Budget], rows: Rows, baseline: str) -> str:
    """The budgets of all runs as text.

    Below the table: what is unknown, and the rows of params.yaml that give the baseline the
    teacher tokens of the most expensive run.
    """
    figures = cost_figures(budgets, baseline)
    cells = [HEADERS, *(_format_row(name, values) for name, values in figures.items())]
    lines = _align_columns(_drop_zero_columns(cells))
    unknown = sorted(set().union(*(budget.cost.unknown for budget in budgets.values())))
    if unknown:
        lines += ["", f"+ not all is known: {len(unknown)} metrics missing, such as {unknown[0]}"]
    return "\n".join([*lines, *_propose_rows(figures, rows, baseline)])


def _align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns of equal width, the first one aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for first, *numbers in rows:
        lines.append("  ".join([first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]))
    return lines


def _drop_zero_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows without the columns of IF_ANY that have nothing but known zeros."""
    columns = []
    for column in zip(*rows):
        header, *cells = column
        if header not in IF_ANY or set(cells) != {"0"}:
            columns.append(column)
    return [list(row) for row in zip(*columns)]


def _format_row(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """A run's cells in the order of HEADERS; "+" marks a figure that is not complete."""
    times = [text for text in values["unknown"] if text.startswith((SECONDS, GPU_SECONDS))]
    mark = "+" if len(values["unknown"]) > len(times) else ""
    # A stage without a runtime record lacks both times, an older record only GPU-seconds.
    seconds_mark = "+" if any(text.startswith(SECONDS) for text in times) else ""
    gpu_mark = "+" if times else ""
    return (
        name,
        _format_count(values["rows"]),
        f"{values['teacher_tokens']}{mark}",
        f"{values['student_flops']:.2e}{mark}",
        f"{values['teacher_flops']:.2e}{mark}",
        f"{values['judge_calls']}{mark}",
        f"{values['judge_tokens']}{mark}",
        f"{values['usd']:.2f}{mark}",
        f"{values['seconds']:.0f}{seconds_mark}",
        f"{values['gpu_seconds']:.0f}{gpu_mark}",
        *(_format_count(values[f"baseline_rows_at_equal_{cost}"]) for cost in COMPARED),
    )


def _format_count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _propose_rows(figures: Mapping[str, Mapping[str, Any]], rows: Rows, baseline: str) -> list[str]:
    """Rows of params.yaml for a baseline with the teacher tokens of the most expensive run.

    Empty where no run cost more than the baseline, or the baseline's dataset is not a teacher's.
    """
    run = rows["runs"].get(baseline)
    student = rows["students"].get(run.model.partition("/")[2]) if run is not None else None
    dataset = rows["datasets"].get(student.dataset) if student is not None else None
    if run is None or student is None or dataset is None:
        return []
    equal = {}
    for name, values in figures.items():
        equal[name] = values["baseline_rows_at_equal_teacher_tokens"] or 0
    dearest = max(equal, key=lambda name: equal[name], default="")
    if equal[dearest] <= (figures[baseline]["rows"] or 0):
        return []
    more = f"{baseline}-more"
    return [
        "",
        f"{baseline} with the teacher tokens of {dearest} is not derived but run, by these rows:",
        f"  datasets: {{{more}: {{teacher: {dataset.teacher}, seeds: {dataset.seeds}, "
        f"synth: {{rows: {equal[dearest]}}}}}}}",
        f"  students: {{{more}: {{dataset: {more}, student: {student.student}}}}}",
        f"  runs: {{{more}: {{model: students/{more}, against: {run.against}}}}}",
    ]
