"""The command `montessori budgets`."""

from pathlib import Path

from montessori.artifacts import write_json
from montessori.budgets.costs import budgets
from montessori.budgets.table import figures, table
from montessori.params import FILE, load, problems_error
from montessori.plan import read_rows


def command(root: Path, json: Path | None) -> str:
    """The table of the runs of params.yaml; with `json` the figures go there too.

    Raises MontessoriError for rows that are not right, or no runs.
    """
    raw = load(root / FILE)
    rows, problems = read_rows(raw)
    if problems:
        raise problems_error(problems)
    found, baseline = budgets(rows, root / "metrics"), raw.get("compare", {}).get("baseline", "")
    if json:
        write_json(json, figures(found, baseline))
    return table(found, rows, baseline)
