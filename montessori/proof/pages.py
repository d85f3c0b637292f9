"""Where a proof is written: metrics/proof, a picture, and marked places in Markdown pages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from montessori.artifacts.files import read_json, write_json
from montessori.proof.experiments import Experiment
from montessori.proof.headline import headline_block
from montessori.proof.newest import read_records
from montessori.proof.papers import papers_block
from montessori.proof.record import path_of
from montessori.proof.summary import summarise
from montessori.proof.table import details_block, figure, summary_block
from montessori.report.svg import standalone

END = "<!-- proof:end -->"
PLACE = re.compile(rf"<!-- proof:begin (?P<name>[\w. -]+) -->\n(?P<old>.*?){END}", re.DOTALL)

Blocks = Mapping[str, Callable[[Path], str]]  # name of a place -> its text, for a page


def write_proof(root: Path, profile: str, complete: Sequence[Experiment]) -> list[Path]:
    """Write metrics/proof/<profile>.json from the records of complete experiments.

    README.md and the pages of docs/ show it where they have places such as
    `<!-- proof:begin controls summary -->`: `summary` (findings and a table), `details` (every
    seed, the data, the costs), `papers` (all profiles' proofs beside published results), and
    `headline` (the front page's table, from the newest records of all profiles).
    Returns the files written, the pages last.

    Raises:
        MontessoriError: no record, or records that do not fit together.
    """
    records = [read_json(path_of(root, experiment)) for experiment in complete]
    proof = summarise(records)
    picture = root / "docs" / "img" / f"proof-{profile}.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(standalone(figure(proof)), encoding="utf-8")
    summary = root / "metrics" / "proof" / f"{profile}.json"
    write_json(summary, proof)
    proofs = [read_json(path) for path in sorted(summary.parent.glob("*.json"))]
    blocks: Blocks = {
        f"{profile} summary": lambda page: summary_block(proof, _address(picture, page)),
        f"{profile} details": lambda page: details_block(proof, records),
        "papers": lambda page: papers_block(proofs),
        "headline": lambda page: headline_block(read_records(root)),
    }
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [summary, picture, *(page for page in pages if fill(page, blocks))]


def _address(picture: Path, page: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()


def fill(page: Path, blocks: Blocks) -> bool:
    """Put the blocks into the places of a Markdown page that are named like them.

    Returns whether the page has such a place; other places stay as they are.
    """
    if not page.is_file():
        return False
    found: list[str] = []

    def new(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in blocks:
            return place.group()
        found.append(name)
        return f"<!-- proof:begin {name} -->\n{blocks[name](page).strip()}\n{END}"

    text = page.read_text(encoding="utf-8")
    filled = PLACE.sub(new, text)
    if filled != text:
        page.write_text(filled, encoding="utf-8")
    return bool(found)
