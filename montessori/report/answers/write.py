"""Writes the page of a run's answers."""

from pathlib import Path

from montessori.artifacts.atomic import write_text
from montessori.report.answers.items import compare_items, read_facts, read_side
from montessori.report.answers.page import answers_page


def write_page(
    answers: Path, verdicts: Path, against: Path, against_verdicts: Path, evals: Path, out: Path
) -> None:
    """Write the file `out` on the answers of a run beside those of the run it is compared with.

    answers, verdicts: artifacts of the stages answers and judge; against, against_verdicts: the
    other run's. Runs are called as their folders are. Raises MontessoriError when a table is
    missing or malformed; nothing is then written.
    """
    run, other = Path(answers).name, Path(against).name
    ours, theirs = read_side(answers, verdicts), read_side(against, against_verdicts)
    found = compare_items(ours, theirs, read_facts(evals))
    write_text(out, answers_page({"run": run, "against": other, "items": found}))
