"""The command `montessori budgets`."""

from pathlib import Path

from montessori.artifacts.files import write_json
from montessori.compare.cost_table import cost_figures, format_costs
from montessori.compare.costs import baseline_of, compute_budgets
from montessori.graph.load import FILE, join_problems, read_yaml
from montessori.graph.references import read_rows
from montessori.graph.stages import read_graph


def write_budgets(root: Path, json: Path | None) -> str:
    """The table of the runs of params.yaml; with `json` the figures go there too.

    Raises MontessoriError for rows or a section `compare` that are not right, or no runs.
    """
    raw = read_yaml(root / FILE)
    rows, problems = read_rows(raw)
    if problems:
        raise join_problems(problems)
    baseline = baseline_of(raw)
    found = compute_budgets(rows, read_graph(root), root / "metrics")
    if json:
        write_json(json, cost_figures(found, baseline))
    return format_costs(found, rows, baseline)
