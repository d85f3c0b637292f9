"""Where a proof is written: metrics/proof, a picture, and marked places in Markdown pages."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from montessori.artifacts.files import write_json
from montessori.errors import MontessoriError
from montessori.proof.at_hand import read_records
from montessori.proof.headline import headline_block
from montessori.proof.newest import Record, newest_of, records_of
from montessori.proof.papers import papers_block
from montessori.proof.summary import summarise
from montessori.proof.table import details_block, figure, summary_block
from montessori.report.svg import standalone

END = "<!-- proof:end -->"
PLACE = re.compile(rf"<!-- proof:begin (?P<name>[\w. -]+) -->\n(?P<old>.*?){END}", re.DOTALL)

Blocks = Mapping[str, Callable[[Path], str]]  # name of a place -> its text, for a page


def write_pages(root: Path) -> list[Path]:
    """Write metrics/proof/<profile>.json, pictures and pages from all records of metrics/proof.

    All profiles are written, because a new record of a run that they share changes each of them.
    README.md and the pages of docs/ show them where they have places such as
    `<!-- proof:begin controls summary -->`: `summary` (findings and a table), `details` (every
    seed, the data, the costs), `papers` (all profiles' proofs beside published results), and
    `headline` (the front page's table). Returns the files written, the pages last.

    Raises:
        MontessoriError: no record, or records that do not fit together.
    """
    records = read_records(root)
    proofs = summarise_profiles(records)
    if not proofs:
        raise MontessoriError("no experiment is complete", next="make proof SEEDS=0-4")
    files = [file for profile, proof in proofs.items() for file in _store(root, profile, proof)]
    blocks = make_blocks(root, proofs, records)
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [*files, *(page for page in pages if fill(page, blocks))]


def summarise_profiles(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """The proof of each profile, every run's figures from its newest record."""
    choose = newest_of(records)
    profiles = dict.fromkeys(record["profile"] for record in records)
    return {profile: summarise(records_of(records, profile), choose) for profile in profiles}


def _store(root: Path, profile: str, proof: Mapping[str, Any]) -> list[Path]:
    """Write a profile's proof and its picture."""
    summary = root / "metrics" / "proof" / f"{profile}.json"
    write_json(summary, proof)
    picture = _picture(root, profile)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(standalone(figure(proof)), encoding="utf-8")
    return [summary, picture]


def make_blocks(
    root: Path, proofs: Mapping[str, Mapping[str, Any]], records: Sequence[Record]
) -> Blocks:
    """The text of each place, by its name."""
    blocks: dict[str, Callable[[Path], str]] = {
        "papers": lambda page: papers_block(list(proofs.values())),
        "headline": lambda page: headline_block(records),
    }
    for profile, proof in proofs.items():
        picture = _picture(root, profile)
        blocks[f"{profile} summary"] = partial(_summary_on, proof, picture)
        blocks[f"{profile} details"] = partial(_details_on, proof)
    return blocks


def _picture(root: Path, profile: str) -> Path:
    return root / "docs" / "img" / f"proof-{profile}.svg"


def _summary_on(proof: Mapping[str, Any], picture: Path, page: Path) -> str:
    return summary_block(proof, _address(picture, page))


def _details_on(proof: Mapping[str, Any], page: Path) -> str:
    return details_block(proof)


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
