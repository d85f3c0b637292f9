"""The proof in words: findings, tables and the picture, as Markdown and SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.compare.sentences import format_p, format_signed, metric_title
from montessori.proof.markdown import markdown_table
from montessori.proof.newest import older_note, recorded_text
from montessori.proof.summary import ASKED, main_metrics
from montessori.report.svg import Interval, intervals

ALPHA = 0.05  # of corrected p-values
TERA = 1e-12
#: Column title; the paths of the numbers in a run's data facts whose product it shows, the factor
#: and the digits that it shows them with.
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
    ("baseline rows at its teacher tokens",
     ("budgets.baseline_rows_at_equal_teacher_tokens",), 1, 0),
    ("baseline rows at its student FLOPs",
     ("budgets.baseline_rows_at_equal_student_flops",), 1, 0),
)  # fmt: skip

Proof = Mapping[str, Any]


def summary_block(proof: Proof, picture: str) -> str:
    """Findings in sentences, then a table for each student; `picture` is the picture's address."""
    common = common_against(proof)
    parts = [f"![{_alternative(proof, common)}]({picture})", _introduction(proof, common)]
    parts.append(older_note(_provenances(proof)))
    for name, student in proof["students"].items():
        parts.append("\n".join([f"**{name}**", "", *(f"- {text}" for text in findings(student))]))
        parts.append(metric_table(student, common))
    return "\n\n".join(part for part in parts if part)


def common_against(proof: Proof) -> str:
    """The run that most runs are compared with; the first of several."""
    counts = Counter(
        other for student in proof["students"].values() for other in student["against"].values()
    )
    return counts.most_common(1)[0][0]


def _alternative(proof: Proof, common: str) -> str:
    """What the picture shows, in words."""
    shown = {student["against"][run] for student in proof["students"].values()
             for run in _pictured(student)}  # fmt: skip
    if shown <= {common}:
        return f"difference to {common} over seeds"
    return f"difference over seeds to the run that each is compared with, mostly {common}"


def _introduction(proof: Proof, common: str) -> str:
    counts = "; ".join(
        f"{name}: {_count(student['seeds'])} ({seed_ranges(student['seeds'])})"
        for name, student in proof["students"].items()
    )
    return (
        f"{counts}. Means over seeds on 0-100. In brackets: the difference to the run that it is "
        f"compared with, `{common}` unless the row names another, paired by seed, with its 95 % "
        "t-interval; bold where the interval excludes zero. A seed varies sampling and training, "
        "not the base models: the intervals hold for the shipped teacher and students. Intervals "
        "are not corrected for being many; an asterisk marks what holds after that: the p-value of "
        "a paired t test over seeds, by Holm's correction, is at most 0.05. The sentences go by "
        f"that. {_families(proof)} A run that several profiles have is shown with its newest "
        "record."
    )


def _families(proof: Proof) -> str:
    """Which comparisons are corrected together."""
    students = proof["students"].values()
    asked = [run for run, other in ASKED
             if any(student["against"].get(run) == other for student in students)]  # fmt: skip
    counts = [student["comparisons"] for student in students]
    others = " and ".join(dict.fromkeys(str(count["others"]) for count in counts))
    if not asked:
        return f"The correction is for all {others} comparisons of a student."
    names = " and ".join(f"`{run}`" for run in asked)
    return (
        f"What was asked beforehand, {names} against `{ASKED[0][1]}` on the mean, is a family of "
        f"its own; the other {others} comparisons of a student are another."
    )


def _provenances(proof: Proof) -> list[Mapping[str, Any]]:
    """The provenance of each run of each student."""
    students = proof["students"].values()
    return [facts for student in students for facts in student["recorded"].values()]


def _count(seeds: Sequence[int]) -> str:
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


def findings(student: Mapping[str, Any]) -> list[str]:
    """A sentence for each trained run but the baselines, and for each step; on the mean, and on
    exams behind it."""
    pairs = [(run, student["against"][run], student["runs"][run]) for run in _pictured(student)]
    pairs += [(*step.split(" - "), entries) for step, entries in student["steps"].items()]
    return [
        _sentence(f"`{run}` against `{other}`" + ("" if name == MEAN else f", {name}"), of[name])
        for run, other, of in pairs
        for name in main_metrics(of)
    ]


def _sentence(subject: str, entry: Mapping[str, float | None]) -> str:
    delta, low, high = entry["delta"], entry["low"], entry["high"]
    if low is None or high is None:
        return f"{subject}: {format_signed(delta)} (one seed, no interval)."
    text = f"{subject}: {format_signed(delta)} ({format_signed(low)} to {format_signed(high)})"
    p, corrected = entry["p"], entry["p_holm"]
    if p is None or corrected is None:
        return f"{text}."
    return f"{text}, p {format_p(p)}, corrected {format_p(corrected)}: {_verdict(p, corrected)}."


def _verdict(p: float, corrected: float) -> str:
    if corrected <= ALPHA:
        return "significant"
    return "significant only by itself" if p <= ALPHA else "not significant"


def metric_table(student: Mapping[str, Any], common: str) -> str:
    """A student's runs by metrics as a Markdown table, the mean first.

    A row names the run that it is compared with where that is neither `common` nor itself.
    """
    runs, against = student["runs"], student["against"]
    found = order_metrics(name for metrics in runs.values() for name in metrics)
    names = [MEAN, *(name for name in found if name != MEAN)]
    rows = [
        [
            _compared(run, against[run], common),
            *(_cell(metrics[name]) for name in names),
            recorded_text(student["recorded"][run]),
        ]
        for run, metrics in runs.items()
    ]
    return markdown_table(["run", *map(metric_title, names), "recorded"], rows)


def _compared(run: str, other: str, common: str) -> str:
    return f"`{run}`" if other in (run, common) else f"`{run}` (against `{other}`)"


def _cell(entry: Mapping[str, float | None]) -> str:
    value, delta, low, high = (entry[key] for key in ("value", "delta", "low", "high"))
    if delta == 0 and not low and not high:
        return f"{value:.1f}"
    if low is None or high is None:
        return f"{value:.1f} ({format_signed(delta)})"
    text = f"{value:.1f} ({format_signed(delta)}; {format_signed(low)} to {format_signed(high)})"
    corrected = entry["p_holm"]
    text += "\\*" if corrected is not None and corrected <= ALPHA else ""
    return f"**{text}**" if low > 0 or high < 0 else text


def details_block(proof: Proof) -> str:
    """Per student: every seed, the data and the costs of each run, rows per task family."""
    parts = []
    for name, student in proof["students"].items():
        parts += [f"### {name}: the mean, seed by seed", seed_table(student)]
        parts += [f"### {name}: the data and the costs", facts_table(student["data"])]
        if any(facts.get("skills") for facts in student["data"].values()):
            parts += [f"### {name}: rows per task family", skill_table(student["data"])]
    return "\n\n".join(part for part in parts if part)


def seed_table(student: Mapping[str, Any]) -> str:
    """The mean of the benchmarks of each run at each seed, and when they were recorded."""
    head = ["run", *(f"seed {seed}" for seed in student["seeds"]), "recorded"]
    rows = [
        [f"`{run}`", *(f"{value:.1f}" for value in values), recorded_text(student["recorded"][run])]
        for run, values in student["means"].items()
    ]
    return markdown_table(head, rows)


def facts_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """What is known of the dataset, the round and the costs behind each run, means over seeds."""
    cells = {run: [_fact(facts, *fact[1:]) for fact in FACTS] for run, facts in data.items()}
    shown = [i for i in range(len(FACTS)) if any(row[i] for row in cells.values())]
    rows = [[f"`{run}`", *(row[i] for i in shown)] for run, row in cells.items() if any(row)]
    return markdown_table(["run", *(FACTS[i][0] for i in shown)], rows) if rows else ""


def _fact(facts: Mapping[str, Any], paths: Sequence[str], factor: float, digits: int) -> str:
    """The product of the numbers at the paths; empty if one is missing."""
    numbers = [facts.get(kind, {}).get(key) for kind, _, key in (p.partition(".") for p in paths)]
    if any(number is None for number in numbers):
        return ""
    return f"{factor * math.prod(numbers):,.{digits}f}"


def skill_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of each task family in each run's dataset, means over seeds, commonest first."""
    runs = [run for run, facts in data.items() if facts.get("skills")]
    counts = {run: data[run]["skills"] for run in runs}
    names = {skill for run in runs for skill in counts[run]}
    ordered = sorted(names, key=lambda skill: -counts[runs[0]].get(skill, 0))
    rows = [[skill, *(f"{counts[run].get(skill, 0):.0f}" for run in runs)] for skill in ordered]
    return markdown_table(["family", *(f"`{run}`" for run in runs)], rows)


def figure(proof: Proof) -> str:
    """Difference of the mean, and of exams, to its baseline, of every trained run of every student;
    a colour for each student and metric.
    """
    groups = [(name, student, metric)
              for name, student in proof["students"].items()
              for metric in main_metrics(next(iter(student["runs"].values())))]  # fmt: skip
    first = next(iter(proof["students"]))
    rows = [
        Interval(_label(run, metric, name if name != first else ""),
                 entry["delta"], entry["low"], entry["high"], colour)
        for colour, (name, student, metric) in enumerate(groups)
        for run in _pictured(student)
        for entry in [student["runs"][run][metric]]
    ]  # fmt: skip
    return intervals(rows, "Mean of the benchmarks: difference to the baseline, 95 % over seeds")


def _pictured(student: Mapping[str, Any]) -> list[str]:
    """The trained runs that are compared with another run."""
    return [run for run in student["runs"]
            if run in student["trained"] and student["against"][run] != run]  # fmt: skip


def _label(run: str, metric: str, student: str) -> str:
    return ", ".join(part for part in (run, "" if metric == MEAN else metric, student) if part)
