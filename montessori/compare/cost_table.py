"""The table of budgets, and what the baseline would be at the budget of another run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from montessori.compare.costs import GPU_SECONDS, SECONDS, Budget
from montessori.graph.references import Rows

COMPARED = ("teacher_tokens", "student_flops")  # costs that are a proportion of the rows
HEADERS = ("run", "rows", "teacher tokens", "student FLOPs", "teacher FLOPs", "judge calls",
           "judge tokens", "USD", "seconds", "GPU-seconds", "baseline rows at its tokens",
           "at its FLOPs")  # fmt: skip
IF_ANY = ("judge tokens", "GPU-seconds")  # columns that are left out where nobody has any


def cost_figures(found: Mapping[str, Budget], baseline: str) -> dict[str, dict[str, Any]]:
    """Per run its rows, its costs, and the equivalents of the baseline, ready for JSON."""
    reference = found.get(baseline)
    return {
        name: {
            "rows": budget.rows,
            **asdict(budget.cost),
            **_baseline_equivalents(budget, reference),
        }
        for name, budget in found.items()
    }


def _baseline_equivalents(budget: Budget, baseline: Budget | None) -> dict[str, int | None]:
    """Rows of the baseline for which its cost is that of the run.

    Teacher tokens grow with the rows written, and FLOPs with the rows trained on, so both are
    proportions; None where a cost of either is not known or the baseline has none.
    """
    found: dict[str, int | None] = {}
    for cost in COMPARED:
        ours = getattr(budget.cost, cost)
        theirs = getattr(baseline.cost, cost) if baseline else 0
        found[f"baseline_rows_at_equal_{cost}"] = None
        if baseline and baseline.rows and theirs and _is_known(budget) and _is_known(baseline):
            found[f"baseline_rows_at_equal_{cost}"] = round(baseline.rows * ours / theirs)
    return found


def _is_known(budget: Budget) -> bool:
    """Whether all but seconds is known."""
    return all(name.startswith((SECONDS, GPU_SECONDS)) for name in budget.cost.unknown)


def format_costs(found: Mapping[str, Budget], rows: Rows, baseline: str) -> str:
    """The budgets of all runs as text, what is not known, and rows that would make them equal."""
    shown = cost_figures(found, baseline)
    lines = _drop_zero_columns(
        [HEADERS, *(_format_row(name, values) for name, values in shown.items())]
    )
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = [
        "  ".join([line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])])
        for line in lines
    ]
    unknown = sorted({name for budget in found.values() for name in budget.cost.unknown})
    if unknown:
        text += ["", f"+ not all is known: {len(unknown)} metrics missing, such as {unknown[0]}"]
    return "\n".join([*text, *_equal_rows(shown, rows, baseline)])


def _drop_zero_columns(lines: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The lines without the columns of IF_ANY that hold nothing but known zeros."""
    kept = [i for i, (head, *cells) in enumerate(zip(*lines))
            if head not in IF_ANY or set(cells) != {"0"}]  # fmt: skip
    return [tuple(line[i] for i in kept) for line in lines]


def _format_row(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    times = [text for text in values["unknown"] if text.startswith((SECONDS, GPU_SECONDS))]
    mark = "+" if len(values["unknown"]) > len(times) else ""
    seconds = any(text.startswith(SECONDS) for text in times)
    return (
        name,
        "-" if values["rows"] is None else str(values["rows"]),
        f"{values['teacher_tokens']}{mark}",
        f"{values['student_flops']:.2e}{mark}",
        f"{values['teacher_flops']:.2e}{mark}",
        f"{values['judge_calls']}{mark}",
        f"{values['judge_tokens']}{mark}",
        f"{values['usd']:.2f}{mark}",
        f"{values['seconds']:.0f}{'+' if seconds else ''}",
        f"{values['gpu_seconds']:.0f}{'+' if times else ''}",
        *(_or_dash(values[f"baseline_rows_at_equal_{cost}"]) for cost in COMPARED),
    )


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _equal_rows(shown: Mapping[str, Mapping[str, Any]], rows: Rows, baseline: str) -> list[str]:
    """A row of params that gives the baseline the teacher tokens of the dearest run."""
    equal = {name: v["baseline_rows_at_equal_teacher_tokens"] or 0 for name, v in shown.items()}
    dearest = max(equal, key=lambda name: equal[name], default="")
    run = rows["runs"].get(baseline)
    student = rows["students"].get(run.model.partition("/")[2]) if run is not None else None
    data = rows["datasets"].get(student.dataset) if student else None
    if (
        run is None
        or student is None
        or data is None
        or equal[dearest] <= (shown[baseline]["rows"] or 0)
    ):
        return []
    more = f"{baseline}-more"
    return [
        "",
        f"{baseline} with the teacher tokens of {dearest} is not derived but run, by these rows:",
        f"  datasets: {{{more}: {{teacher: {data.teacher}, seeds: {data.seeds}, "
        f"synth: {{rows: {equal[dearest]}}}}}}}",
        f"  students: {{{more}: {{dataset: {more}, student: {student.student}}}}}",
        f"  runs: {{{more}: {{model: students/{more}, against: {run.against}}}}}",
    ]
