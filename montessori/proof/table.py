"""The proof in words: metrics/proof.json, the README's table, docs/proof.md and the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.artifacts import read_json, write_json
from montessori.compare.outcomes import MEAN, ordered
from montessori.compare.words import p_text, titled
from montessori.errors import MontessoriError
from montessori.report.svg import Interval, intervals, standalone

from .plan import Experiment
from .record import path_of
from .summary import Record, points, summarise

BEGIN, END = "<!-- proof:begin -->", "<!-- proof:end -->"
ALPHA = 0.05  # of corrected p-values
#: Column title, then the paths of the numbers in a run's data facts whose product it shows.
FACTS = (
    ("rows", ("synth.rows",)),
    ("valid, %", ("synth.valid",)),
    ("correct, %", ("synth.correct",)),
    ("tokens a response", ("synth.response_tokens",)),
    ("response tokens", ("synth.rows", "synth.response_tokens")),
    ("pairs", ("prefs.pairs",)),
    ("influence between families, %", ("influence.variance_between_skills",)),
)

PICTURE = "![difference to self-instruct over seeds](docs/img/proof.svg)"

Proof = Mapping[str, Any]


def write_proof(root: Path, complete: Sequence[Experiment]) -> None:
    """Write metrics/proof.json from the records of complete experiments, and what shows it."""
    records = [read_json(path_of(root, experiment)) for experiment in complete]
    proof = summarise(records)
    write_json(root / "metrics" / "proof.json", proof)
    picture = root / "docs" / "img" / "proof.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(standalone(figure(proof)), encoding="utf-8")
    replace_block(root / "README.md", readme_block(proof))
    replace_block(root / "docs" / "proof.md", details_block(proof, records))


def replace_block(path: Path, text: str) -> None:
    """Put `text` between the markers of a Markdown file.

    Raises:
        MontessoriError: the file or one of its markers is missing.
    """
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise MontessoriError(
            "no place for the proof's table", where=str(path), expected=f"lines {BEGIN} and {END}"
        )
    path.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", encoding="utf-8")


def readme_block(proof: Proof) -> str:
    """Findings in sentences, then a table for each student."""
    parts = [PICTURE, _introduction(proof)]
    for name, student in proof["students"].items():
        parts.append("\n".join([f"**{name}**", "", *(f"- {text}" for text in findings(student))]))
        parts.append(metric_table(student["runs"]))
    return "\n\n".join(parts)


def _introduction(proof: Proof) -> str:
    counts = "; ".join(
        f"{name}: {_count(student['seeds'])} ({_ranges(student['seeds'])})"
        for name, student in proof["students"].items()
    )
    return (
        f"{counts}. Means over seeds on 0-100. In brackets: the difference to `self-instruct`, "
        "paired by seed, with its 95 % t-interval; bold where the interval excludes zero. A seed "
        "varies sampling and training, not the base models: the intervals hold for the shipped "
        "teacher and students. Intervals are not corrected for being many; an asterisk marks what "
        "holds after that: the p-value of a paired t test over seeds, by Holm's correction for all "
        "comparisons of a student, is at most 0.05. The sentences go by that."
    )


def _count(seeds: Sequence[int]) -> str:
    return "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"


def _ranges(seeds: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> 0-2, 5."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = seed
        else:
            spans.append([seed, seed])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def findings(student: Mapping[str, Any]) -> list[str]:
    """One sentence for each question that the proof is to answer, on the mean."""
    sentences = []
    for run in ("montessori-1", "montessori-2", "placebo", "flipped", "reference-seeds"):
        if run in student["runs"]:
            entry = student["runs"][run]["mean"]
            sentences.append(_sentence(f"{run} against self-instruct", entry))
    if "montessori-1-tokens" in student["runs"]:
        entry = student["runs"]["montessori-1-tokens"]["mean"]
        sentences.append(_sentence("The same at equal response tokens", entry))
    for step, metrics in student["steps"].items():
        sentences.append(_sentence(step.replace(" - ", " against "), metrics["mean"]))
    return sentences


def _sentence(subject: str, entry: Mapping[str, float | None]) -> str:
    delta, low, high = entry["delta"], entry["low"], entry["high"]
    if low is None or high is None:
        return f"{subject}: {_signed(delta)} (one seed, no interval)."
    text = f"{subject}: {_signed(delta)} ({_signed(low)} to {_signed(high)})"
    p, corrected = entry["p"], entry["p_holm"]
    if p is None or corrected is None:
        return f"{text}."
    return f"{text}, p {p_text(p)}, corrected {p_text(corrected)}: {_verdict(p, corrected)}."


def _verdict(p: float, corrected: float) -> str:
    if corrected <= ALPHA:
        return "significant"
    return "significant only by itself" if p <= ALPHA else "not significant"


def metric_table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Runs by metrics as a Markdown table, the mean first."""
    found = ordered(name for metrics in runs.values() for name in metrics)
    names = [MEAN, *(name for name in found if name != MEAN)]
    rows = [
        [f"`{run}`", *(_cell(metrics[name]) for name in names)] for run, metrics in runs.items()
    ]
    return markdown_table(["run", *map(titled, names)], rows)


def _cell(entry: Mapping[str, float | None]) -> str:
    value, delta, low, high = (entry[key] for key in ("value", "delta", "low", "high"))
    if delta == 0 and not low and not high:
        return f"{value:.1f}"
    if low is None or high is None:
        return f"{value:.1f} ({_signed(delta)})"
    text = f"{value:.1f} ({_signed(delta)}; {_signed(low)} to {_signed(high)})"
    corrected = entry["p_holm"]
    text += "\\*" if corrected is not None and corrected <= ALPHA else ""
    return f"**{text}**" if low > 0 or high < 0 else text


def _signed(value: float | None) -> str:
    return f"{value or 0.0:+.1f}".replace("-", "\u2212")


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, first column left, the others right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def details_block(proof: Proof, records: Sequence[Record]) -> str:
    """Per student: every seed, the data behind each run, rows per task family."""
    parts = []
    for name, student in proof["students"].items():
        own = sorted((r for r in records if r["student"] == name), key=lambda r: r["seed"])
        parts += [f"## {name}", metric_table(student["runs"]), "### The mean, seed by seed"]
        parts.append(seed_table(own))
        parts += ["### The data", facts_table(student["data"])]
        if any(facts.get("skills") for facts in student["data"].values()):
            parts += ["### Rows per task family", skill_table(student["data"])]
    return "\n\n".join(part for part in parts if part)


def seed_table(records: Sequence[Record]) -> str:
    """The mean of the four benchmarks of each run at each seed."""
    head = ["run", *(f"seed {record['seed']}" for record in records)]
    rows = [
        [f"`{run}`", *(f"{points(record, run, 'mean'):.1f}" for record in records)]
        for run in records[0]["order"]
    ]
    return markdown_table(head, rows)


def facts_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """What is known of the dataset and the round behind each run, means over seeds."""
    rows = [
        [f"`{run}`", *(_fact(facts, title, paths) for title, paths in FACTS)]
        for run, facts in data.items()
        if facts
    ]
    return markdown_table(["run", *(title for title, _ in FACTS)], rows) if rows else ""


def _fact(facts: Mapping[str, Any], title: str, paths: Sequence[str]) -> str:
    """The product of the numbers at the paths; empty if one is missing."""
    numbers = [facts.get(kind, {}).get(key) for kind, _, key in (p.partition(".") for p in paths)]
    if any(number is None for number in numbers):
        return ""
    value = math.prod(numbers)
    if title.endswith("%"):
        return f"{100 * value:.1f}"
    return f"{value:.1f}" if title.startswith("tokens") else f"{value:,.0f}"


def skill_table(data: Mapping[str, Mapping[str, Any]]) -> str:
    """Rows of each task family in each run's dataset, means over seeds, commonest first."""
    runs = [run for run, facts in data.items() if facts.get("skills")]
    counts = {run: data[run]["skills"] for run in runs}
    names = {skill for run in runs for skill in counts[run]}
    ordered = sorted(names, key=lambda skill: -counts[runs[0]].get(skill, 0))
    rows = [[skill, *(f"{counts[run].get(skill, 0):.0f}" for run in runs)] for skill in ordered]
    return markdown_table(["family", *(f"`{run}`" for run in runs)], rows)


def figure(proof: Proof) -> str:
    """Difference of the mean to self-instruct, of every run of every student."""
    rows = [
        Interval(_label(run, index, student), entry["delta"], entry["low"], entry["high"], index)
        for index, student in enumerate(proof["students"])
        for run, metrics in proof["students"][student]["runs"].items()
        if run not in ("base", "self-instruct", "self-instruct-tokens")
        for entry in [metrics["mean"]]
    ]
    return intervals(rows, "Mean of four benchmarks: difference to self-instruct, 95 % over seeds")


def _label(run: str, index: int, student: str) -> str:
    return run if index == 0 else f"{run}, {student}"
