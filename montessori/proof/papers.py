"""One table that mirrors the papers': our differences over seeds, the published ones beside them.

The settings differ in everything but the method: ours is the lab, theirs are models a thousand
times larger on the public benchmarks. What can be read across is the order of the methods.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from montessori.compare.run_outcomes import MEAN
from montessori.compare.sentences import format_signed
from montessori.evals.items import is_exam
from montessori.proof.markdown import markdown_table
from montessori.proof.newest import older_note

#: Column title, the paper's name of the benchmark, ours.
BENCHMARKS = (
    ("AlpacaEval (LC)", "LC", "micro_alpaca_eval"),
    ("MT-Bench", "MT-Bench", "micro_mt_bench"),
    ("MMLU", "MMLU", "micro_mmlu"),
    ("GSM8K", "GSM8K", "micro_gsm8k"),
)
SIZES = ("8B", "1.1B")
NOTHING = ""

Runs = Mapping[str, Mapping[str, Mapping[str, float | None]]]  # run -> metric -> entry


def papers_block(proofs: Sequence[Mapping[str, Any]]) -> str:
    """The table of Montessori-Instruct's methods, then that of ARTE's, from the first student.

    `proofs`: contents of metrics/proof/*.json, the later ones for runs that the earlier lack. A run
    of several has the same figures in each.
    """
    found = published()
    runs: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    for proof in proofs:
        for student in list(proof["students"].values())[:1]:
            runs = {**student["runs"], **runs, **student.get("steps", {})}
            recorded |= student["recorded"]
    named = [row["run"] for paper in found.values() for row in paper["rows"]]
    note = older_note([recorded[run] for run in named if run in recorded])
    tables = [
        _montessori_table(found["montessori-instruct"], runs),
        _arte_table(found["arte"], runs),
    ]
    return "\n\n".join(filter(None, [*tables, note]))


def published() -> dict[str, Any]:
    """The published results: the content of papers.yaml."""
    from ruamel.yaml import YAML

    text = resources.files(__package__).joinpath("papers.yaml").read_text(encoding="utf-8")
    rows: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return rows


def _montessori_table(paper: Mapping[str, Any], runs: Runs) -> str:
    baseline = next(row for row in paper["rows"] if row["run"] == paper["baseline"])
    columns = [
        (name, size) for _, name, _ in BENCHMARKS for size in SIZES if name in baseline[size]
    ]
    head = ["method", "run", "mean, ours"]
    for title, name, _ in BENCHMARKS:
        head += [f"{title}, ours", *(f"{size}" for found, size in columns if found == name)]
    return markdown_table(head, [list(_montessori_row(r, baseline, columns, runs))
                                 for r in paper["rows"] if r is not baseline])  # fmt: skip


def _montessori_row(
    row: Mapping[str, Any],
    baseline: Mapping[str, Any],
    columns: Sequence[tuple[str, str]],
    runs: Runs,
) -> Iterable[str]:
    ours = runs.get(row["run"], {})
    yield from (row["method"], f"`{row['run']}`", difference(ours.get(MEAN)))
    for _, name, metric in BENCHMARKS:
        yield difference(ours.get(metric))
        for size in (size for found, size in columns if found == name):
            yield _published_difference(row.get(size, {}), baseline[size], name)


def _published_difference(
    values: Mapping[str, float], baseline: Mapping[str, float], name: str
) -> str:
    """A paper's value less that of its Self-Instruct, MT-Bench on 0-100 as ours."""
    if name not in values:
        return NOTHING
    scale = 100.0 / 9.0 if name == "MT-Bench" else 1.0
    return format_signed(scale * (values[name] - baseline[name]))


def _arte_table(paper: Mapping[str, Any], runs: Runs) -> str:
    baseline = next(row for row in paper["rows"] if row["run"] == paper["baseline"])
    rows = [
        [row["method"], f"`{row['run']}`",
         *_on_mean_and_exam(runs.get(f"{row['run']} - {paper['baseline']}", {})),
         format_signed(row["accuracy"] - baseline["accuracy"])]
        for row in paper["rows"] if row is not baseline
    ]  # fmt: skip
    return markdown_table(
        [f"against `{paper['baseline']}`", "run", "mean, ours", "its tasks, ours", "BBH, Gemma-2B"],
        rows,
    )


def _on_mean_and_exam(entries: Mapping[str, Mapping[str, float | None]]) -> tuple[str, str]:
    """The differences on the mean of the benchmarks, and on the first exam."""
    exam = next(filter(is_exam, entries), "")
    return difference(entries.get(MEAN)), difference(entries.get(exam))


def difference(entry: Mapping[str, float | None] | None) -> str:
    """`+4.7 (+1.2 to +8.1)`; nothing for a run that was not measured."""
    if entry is None:
        return NOTHING
    low, high = entry["low"], entry["high"]
    text = format_signed(entry["delta"])
    return (
        text
        if low is None or high is None
        else f"{text} ({format_signed(low)} to {format_signed(high)})"
    )
