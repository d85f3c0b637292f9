"""The proof in words: findings, tables and the picture, as Markdown and SVG."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.compare.sentences import format_p, format_signed, format_value, metric_title
from montessori.evals.items import HELDOUT, is_loss
from montessori.proof.markdown import markdown_table
from montessori.proof.newest import older_note, recorded_text
from montessori.proof.summary import ASKED, main_metrics
from montessori.report.svg import Interval, interval_chart

ALPHA = 0.05  # of corrected p-values
TERA = 1e-12
#: Column title; paths of numbers in a run's data, whose product is shown; factor; digits.
FACTS = (
    ("rows", ("synth.rows",), 1, 0),
    ("valid, %", ("synth.valid",), 100, 1),
    ("correct, %", ("synth.correct",), 100, 1),
    ("tokens a response", ("synth.response_tokens",), 1, 1),
    ("response tokens", ("synth.rows", "synth.response_tokens"), 1, 0),
    ("pairs", ("prefs.pairs",), 1, 0),
    ("influence between families, %", ("influence.variance_between_skills",), 100, 1),
    ("teacher tokens", ("budgets.teacher_tokens",), 1, 0),
    ("student TFLOPs", ("budgets.student_flops",), TERA, 1),
    ("teacher TFLOPs", ("budgets.teacher_flops",), TERA, 1),
    ("judge calls", ("budgets.judge_calls",), 1, 0),
    ("judge tokens", ("budgets.judge_tokens",), 1, 0),
    (
        "baseline rows at its teacher tokens",
        ("budgets.baseline_rows_at_equal_teacher_tokens",),
        1,
        0,
    ),
    ("baseline rows at its student FLOPs", ("budgets.baseline_rows_at_equal_student_flops",), 1, 0),
)

Proof = Mapping[str, Any]


def summary_block(proof: Proof, picture: str) -> str:
    """Write the findings as sentences, then a table for each student.

    picture: the address of the picture, relative to the page.
    """
    common = common_against(proof)
    parts = [f"![{_picture_text(proof, common)}]({picture})", _introduce_figures(proof, common)]
    parts.append(older_note(_all_provenances(proof)))
    for name, student in proof["students"].items():
        sentences = [f"- {text}" for text in finding_sentences(student)]
        parts.append("\n".join([f"**{name}**", "", *sentences]))
        parts.append(metric_table(student, common))
    return "\n\n".join(part for part in parts if part)


def common_against(proof: Proof) -> str:
    """The run that most runs are compared with; the first of several."""
    counts: Counter[str] = Counter()
    for student in proof["students"].values():
        counts.update(student["against"].values())
    return counts.most_common(1)[0][0]


def _picture_text(proof: Proof, common: str) -> str:
    """Describe the picture in words."""
    others = set()
    for student in proof["students"].values():
        others |= {student["against"][run] for run in _compared_runs(student)}
    if others <= {common}:
        return f"difference to {common} over seeds"
    return f"difference over seeds to the run that each is compared with, mostly {common}"


def _introduce_figures(proof: Proof, common: str) -> str:
    """Explain what the figures are, and how they were compared and corrected."""
    counts = []
    for name, student in proof["students"].items():
        seeds = student["seeds"]
        counts.append(f"{name}: {_count_seeds(seeds)} ({seed_ranges(seeds)})")
    return (
        f"{'; '.join(counts)}. Figures are means over seeds on 0-100"
        f"{_describe_losses(proof)}. In brackets is the "
        f"difference to the run of comparison (`{common}` unless the row names another), paired by "
        "seed, with its 95 % t-interval, bold where the interval excludes zero. A seed varies "
        "sampling and training, not the base models, so the intervals hold for the shipped "
        "teacher and students. Intervals are not corrected for multiple comparisons. An asterisk "
        "marks differences that remain significant after Holm's correction: the corrected p-value "
        "of a paired t test over seeds is at most 0.05. The sentences use the corrected p-values. "
        f"{_describe_families(proof)} A run that several profiles have is shown with its newest "
        "record."
    )


def _describe_losses(proof: Proof) -> str:
    """Say that losses on held-out rows have another unit, where there are any."""
    rows = next(iter(proof["students"].values()))["runs"].values()
    return ", held-out losses in nats per token" if any(HELDOUT in row for row in rows) else ""


def _describe_families(proof: Proof) -> str:
    """Say which comparisons are corrected together."""
    students = proof["students"].values()
    asked = []
    for run, other in ASKED:
        if any(student["against"].get(run) == other for student in students):
            asked.append(run)
    counts = [student["comparisons"] for student in students]
    others = " and ".join(dict.fromkeys(str(count["others"]) for count in counts))
    if not asked:
        return f"The correction is for all {others} comparisons of a student."
    names = " and ".join(f"`{run}`" for run in asked)
    return (
        f"What was asked beforehand, {names} against `{ASKED[0][1]}` on the mean, is a family of "
        f"its own; the other {others} comparisons of a student are another."
    )


def _all_provenances(proof: Proof) -> list[Mapping[str, Any]]:
    """The provenance of each run of each student."""
    provenances: list[Mapping[str, Any]] = []
    for student in proof["students"].values():
        provenances += student["recorded"].values()
    return provenances


def _count_seeds(seeds: Sequence[int]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def seed_ranges(seeds: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> 0-2, 5."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def finding_sentences(student: Mapping[str, Any]) -> list[str]:
    """A sentence for each comparison of a trained run, and for each step, on the main metrics."""
    comparisons = [
        (run, student["against"][run], student["runs"][run]) for run in _compared_runs(student)
    ]
    for step, entries in student["steps"].items():
        run, other = step.split(" - ")
        comparisons.append((run, other, entries))
    sentences = []
    for run, other, entries in comparisons:
        for name in main_metrics(entries):
            metric = "" if name == MEAN else f", {metric_title(name)}"
            subject = f"`{run}` against `{other}`{metric}"
            sentences.append(_finding_sentence(subject, name, entries[name]))
    return sentences


def _finding_sentence(subject: str, metric: str, entry: Mapping[str, float | None]) -> str:
    delta, low, high = entry["delta"], entry["low"], entry["high"]
    if low is None or high is None:
        return f"{subject}: {format_signed(delta, metric)} (no interval: one seed, or no spread)."
    span = f"{format_signed(low, metric)} to {format_signed(high, metric)}"
    text = f"{subject}: {format_signed(delta, metric)} ({span})"
    p, corrected = entry["p"], entry["p_holm"]
    if p is None or corrected is None:
        return f"{text}."
    verdict = _significance_words(p, corrected)
    return f"{text}, p {format_p(p)}, corrected {format_p(corrected)}: {verdict}."


def _significance_words(p: float, corrected: float) -> str:
    if corrected <= ALPHA:
        return "significant"
    return "significant only by itself" if p <= ALPHA else "not significant"


def metric_table(student: Mapping[str, Any], common: str) -> str:
    """A student's runs by metrics as a Markdown table, the mean first.

    A row names the run that it is compared with unless that is `common` or the run itself.
    """
    runs, against = student["runs"], student["against"]
    names: list[str] = []
    for metrics in runs.values():
        names += metrics
    columns = [MEAN, *(name for name in order_metrics(names) if name != MEAN)]
    rows = []
    for run, metrics in runs.items():
        cells = [_metric_cell(metrics[name], name) for name in columns]
        recorded = recorded_text(student["recorded"][run])
        rows.append([_run_name(run, against[run], common), *cells, recorded])
    return markdown_table(["run", *map(metric_title, columns), "recorded"], rows)


def _run_name(run: str, other: str, common: str) -> str:
    return f"`{run}`" if other in (run, common) else f"`{run}` (against `{other}`)"


def _metric_cell(entry: Mapping[str, float | None], metric: str) -> str:
    """`53.0 (+4.0; +1.2 to +6.8)`, bold and with an asterisk as the introduction explains."""
    value, delta, low, high = (entry[key] for key in ("value", "delta", "low", "high"))
    shown = format_value(value or 0.0, metric)
    # A run that is compared with itself.
    if delta == 0 and not low and not high:
        return shown
    if low is None or high is None:
        return f"{shown} ({format_signed(delta, metric)})"
    span = f"{format_signed(low, metric)} to {format_signed(high, metric)}"
    text = f"{shown} ({format_signed(delta, metric)}; {span})"
    corrected = entry["p_holm"]
    # A bare asterisk would open an emphasis in Markdown.
    text += "\\*" if corrected is not None and corrected <= ALPHA else ""
    return f"**{text}**" if low > 0 or high < 0 else text


def details_block(proof: Proof) -> str:
    """Per student: every seed, the data and the costs of each run, rows per task family."""
    parts = []
    for name, student in proof["students"].items():
        parts += [f"### {name}: the mean, seed by seed", seed_table(student)]
        parts += [f"### {name}: the data and the costs", facts_table(student["data"])]
        if any(data.get("skills") for data in student["data"].values()):
            parts += [f"### {name}: rows per task family", skill_table(student["data"])]
    return "\n\n".join(part for part in parts if part)


def seed_table(student: Mapping[str, Any]) -> str:
    """The mean of the benchmarks of each run at each seed, and when each run was recorded."""
    head = ["run", *(f"seed {seed}" for seed in student["seeds"]), "recorded"]
    rows = []
    for run, values in student["means"].items():
        recorded = recorded_text(student["recorded"][run])
        rows.append([f"`{run}`", *(f"{value:.1f}" for value in values), recorded])
    return markdown_table(head, rows)


def facts_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """The dataset, the round and the costs behind each run, means over seeds.

    Facts that no run has get no column, and runs without any fact no row.
    """
    cells: dict[str, list[str]] = {}
    for run, parts in data.items():
        row = [_fact_cell(parts, paths, factor, digits) for _, paths, factor, digits in FACTS]
        if any(row):
            cells[run] = row
    if not cells:
        return ""
    shown = [i for i in range(len(FACTS)) if any(row[i] for row in cells.values())]
    rows = [[f"`{run}`", *(row[i] for i in shown)] for run, row in cells.items()]
    return markdown_table(["run", *(FACTS[i][0] for i in shown)], rows)


def _fact_cell(parts: Mapping[str, Any], paths: Sequence[str], factor: float, digits: int) -> str:
    """The product of the numbers at the paths; empty if one is missing."""
    numbers = []
    for path in paths:
        kind, _, key = path.partition(".")
        numbers.append(parts.get(kind, {}).get(key))
    if any(number is None for number in numbers):
        return ""
    return f"{factor * math.prod(numbers):,.{digits}f}"


def skill_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of each task family in each run's dataset, means over seeds, most frequent first."""
    counts = {run: parts["skills"] for run, parts in data.items() if parts.get("skills")}
    first = next(iter(counts.values()))
    families = sorted(set().union(*counts.values()), key=lambda name: (-first.get(name, 0), name))
    rows = []
    for family in families:
        numbers = [f"{of_run.get(family, 0):.0f}" for of_run in counts.values()]
        rows.append([family, *numbers])
    return markdown_table(["family", *(f"`{run}`" for run in counts)], rows)


def proof_figure(proof: Proof) -> str:
    """Draw each trained run's difference to its baseline, on the mean and on exams.

    Each student and metric has a colour of its own.
    """
    first = next(iter(proof["students"]))
    rows: list[Interval] = []
    colour = 0
    for name, student in proof["students"].items():
        metrics = main_metrics(next(iter(student["runs"].values())))
        for metric in (metric for metric in metrics if not is_loss(metric)):  # on another scale
            for run in _compared_runs(student):
                entry = student["runs"][run][metric]
                label = _figure_label(run, metric, name if name != first else "")
                interval = Interval(label, entry["delta"], entry["low"], entry["high"], colour)
                rows.append(interval)
            colour += 1
    return interval_chart(
        rows, "Mean of the benchmarks: difference to the baseline, 95 % over seeds"
    )


def _compared_runs(student: Mapping[str, Any]) -> list[str]:
    """The trained runs that are compared with another run."""
    trained = [run for run in student["runs"] if run in student["trained"]]
    return [run for run in trained if student["against"][run] != run]


def _figure_label(run: str, metric: str, student: str) -> str:
    return ", ".join(part for part in (run, "" if metric == MEAN else metric, student) if part)
