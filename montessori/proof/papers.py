"""One table that mirrors the papers': our differences over seeds beside the published ones.

The settings differ in everything but the method: ours is the lab, theirs are models a thousand
times larger on the public benchmarks. Only the order of the methods can be compared.
"""

from collections.abc import Mapping, Sequence
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
    """Write the tables of Montessori-Instruct's and of ARTE's methods, for the first student.

    proofs: contents of metrics/proof/*.json; later ones add the runs that earlier ones lack. A run
    that several proofs have has the same figures in each.
    """
    papers = read_published()
    runs: dict[str, Any] = {}
    recorded: dict[str, Any] = {}
    for proof in proofs:
        for student in list(proof["students"].values())[:1]:
            # `runs` comes second, so an earlier proof keeps its figures.
            runs = {**student["runs"], **runs, **student.get("steps", {})}
            recorded |= student["recorded"]
    provenances = []
    for paper in papers.values():
        provenances += [recorded[row["run"]] for row in paper["rows"] if row["run"] in recorded]
    blocks = [
        _montessori_table(papers["montessori-instruct"], runs),
        _arte_table(papers["arte"], runs),
        older_note(provenances),
    ]
    return "\n\n".join(filter(None, blocks))


def read_published() -> dict[str, Any]:
    """Read the published results from papers.yaml."""
    from ruamel.yaml import YAML

    text = resources.files(__package__).joinpath("papers.yaml").read_text(encoding="utf-8")
    rows: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return rows


def _montessori_table(paper: Mapping[str, Any], runs: Runs) -> str:
    baseline = _baseline_row(paper)
    head = ["method", "run", "mean, ours"]
    for title, name, _ in BENCHMARKS:
        head += [f"{title}, ours", *_published_sizes(baseline, name)]
    others = [row for row in paper["rows"] if row is not baseline]
    return markdown_table(head, [_montessori_row(row, baseline, runs) for row in others])


def _baseline_row(paper: Mapping[str, Any]) -> Mapping[str, Any]:
    """The paper's row that its others are compared with."""
    rows: list[Mapping[str, Any]] = paper["rows"]
    return next(row for row in rows if row["run"] == paper["baseline"])


def _published_sizes(baseline: Mapping[str, Any], name: str) -> list[str]:
    """The model sizes for which the paper has a benchmark."""
    return [size for size in SIZES if name in baseline[size]]


def _montessori_row(row: Mapping[str, Any], baseline: Mapping[str, Any], runs: Runs) -> list[str]:
    """A method's differences: ours on each benchmark, then the published ones by model size."""
    ours = runs.get(row["run"], {})
    cells = [row["method"], f"`{row['run']}`", difference_text(ours.get(MEAN))]
    for _, name, metric in BENCHMARKS:
        cells.append(difference_text(ours.get(metric)))
        for size in _published_sizes(baseline, name):
            cells.append(_published_difference(row.get(size, {}), baseline[size], name))
    return cells


def _published_difference(
    values: Mapping[str, float], baseline: Mapping[str, float], name: str
) -> str:
    """A paper's value minus that of its Self-Instruct, MT-Bench on 0-100 as ours."""
    if name not in values:
        return NOTHING
    scale = 100.0 / 9.0 if name == "MT-Bench" else 1.0
    return format_signed(scale * (values[name] - baseline[name]))


def _arte_table(paper: Mapping[str, Any], runs: Runs) -> str:
    baseline = _baseline_row(paper)
    against = paper["baseline"]
    rows = []
    for row in paper["rows"]:
        if row is baseline:
            continue
        mean, exam = _on_mean_and_exam(runs.get(f"{row['run']} - {against}", {}))
        published = format_signed(row["accuracy"] - baseline["accuracy"])
        rows.append([row["method"], f"`{row['run']}`", mean, exam, published])
    head = [f"against `{against}`", "run", "mean, ours", "its tasks, ours", "BBH, Gemma-2B"]
    return markdown_table(head, rows)


def _on_mean_and_exam(entries: Mapping[str, Mapping[str, float | None]]) -> tuple[str, str]:
    """The differences on the mean of the benchmarks and on the first exam."""
    exam = next(filter(is_exam, entries), "")
    return difference_text(entries.get(MEAN)), difference_text(entries.get(exam))


def difference_text(entry: Mapping[str, float | None] | None) -> str:
    """`+4.7 (+1.2 to +8.1)`; empty for a run without measurements."""
    if entry is None:
        return NOTHING
    low, high = entry["low"], entry["high"]
    text = format_signed(entry["delta"])
    return (
        text
        if low is None or high is None
        else f"{text} ({format_signed(low)} to {format_signed(high)})"
    )
