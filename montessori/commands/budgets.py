"""The command `montessori budgets`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montessori.artifacts.files import write_json
from montessori.compare.cost_table import figures, table
from montessori.compare.costs import budgets
from montessori.graph.load import FILE, load, problems_error
from montessori.graph.references import read_rows


def command(root: Path, json: Path | None) -> str:
    """The table of the runs of params.yaml; with `json` the figures go there too.

    Raises MontessoriError for rows or a section `compare` that are not right, or no runs.
    """
    raw = load(root / FILE)
    rows, problems = read_rows(raw)
    if problems:
        raise problems_error(problems)
    baseline = baseline_of(raw)
    found = budgets(rows, root / "metrics")
    if json:
        write_json(json, figures(found, baseline))
    return table(found, rows, baseline)


def baseline_of(raw: Mapping[str, Any]) -> str:
    """The run `compare.baseline` of params.yaml; "" where it names none.

    Raises MontessoriError where the section is no mapping, such as an empty one.
    """
    compare = raw.get("compare", {})
    if not isinstance(compare, Mapping):
        raise problems_error([f"compare: {compare!r} is not a mapping of keys to values"])
    return str(compare.get("baseline") or "")
