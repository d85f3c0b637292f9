"""The decontamination section of metrics/compare.json, from the metrics of other stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json

SETS = ("seeds", "reference", "other_reference")
DROPPED = ("eval item", "response eval item")  # reasons for a dropped row, as synth counts them


def summarize_decontamination(seed: Path, synth: Path, leaks: Path) -> dict[str, Any]:
    """Where eval items were searched for, and how many were found.

    seed: the seed stage's metric file. synth, leaks: folders of metric files, which may be empty.
    Returns {"items": eval items by split, "sources": {"overlaps", "rows" by set}, "written":
    {dataset: {"samples", "eval_items": dropped ones}}, "learned" and "probed": {dataset or set of
    rows: {"rows", "eval_items": among them}}}.
    """
    sources = read_json(Path(seed))
    return {
        "items": {split: sum(counts.values()) for split, counts in sources["evals"].items()},
        "sources": {
            "overlaps": sources["overlaps"],
            "rows": {name: sources[name]["rows"] for name in SETS if name in sources},
        },
        "written": _count_written(Path(synth)),
        **_count_leaks(Path(leaks)),
    }


def _count_written(synth: Path) -> dict[str, dict[str, int]]:
    """Dropped eval items of each dataset that a teacher wrote through the filters.

    Rows from files, cut and joined datasets pass no filter; they are counted as learned.
    """
    counts = {}
    for path in _metric_files(synth):
        metrics = read_json(path)
        dropped = metrics.get("dropped")
        if isinstance(dropped, Mapping) and "samples" in metrics:
            eval_items = sum(dropped.get(reason, 0) for reason in DROPPED)
            counts[path.stem] = {"samples": metrics["samples"], "eval_items": eval_items}
    return counts


def _count_leaks(leaks: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Counts of the stage leaks by artifact, datasets apart from the rest.

    Several rows of the graph may name one artifact, which then counts once.
    """
    counts: dict[str, dict[str, dict[str, int]]] = {"learned": {}, "probed": {}}
    for path in _metric_files(leaks):
        metrics = read_json(path)
        folder, _, name = metrics["artifact"].partition("/")
        kind = "learned" if folder == "datasets" else "probed"
        label = name if folder in ("datasets", "probe") else metrics["artifact"]
        counts[kind][label] = {"rows": metrics["rows"], "eval_items": metrics["eval_items"]}
    return counts


def _metric_files(folder: Path) -> list[Path]:
    # Those of the stage leaks are in folders of their own, `learned` and `probed`.
    return sorted(folder.rglob("*.json"))
