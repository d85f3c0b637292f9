"""Write a proof to metrics/proof, to a picture, and to marked places in Markdown pages."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from montessori.artifacts.atomic import write_text
from montessori.artifacts.files import write_json
from montessori.errors import MontessoriError
from montessori.proof.at_hand import read_records
from montessori.proof.headline import headline_block
from montessori.proof.newest import Record, choose_newest, records_of
from montessori.proof.papers import papers_block
from montessori.proof.summary import summarise_records
from montessori.proof.table import details_block, proof_figure, summary_block
from montessori.report.svg import standalone_chart

END = "<!-- proof:end -->"
PLACE = re.compile(rf"<!-- proof:begin (?P<name>[\w. -]+) -->\n(?P<old>.*?){END}", re.DOTALL)

Blocks = Mapping[str, Callable[[Path], str]]  # name of a place -> its text, for a page


def write_pages(root: Path) -> list[Path]:
    """Write metrics/proof/<profile>.json, pictures and pages from all records of metrics/proof.

    All profiles are written, because profiles share runs: a new record changes each of them.
    README.md and the pages of docs/ are filled at places such as
    `<!-- proof:begin controls summary -->`: `summary` (findings and a table), `details` (every
    seed, the data, the costs), `papers` (all profiles' proofs beside published results), and
    `headline` (the front page's table). Returns the files written, the pages last.

    Raises:
        MontessoriError: no record, or records of one student with different runs.
    """
    records = read_records(root)
    proofs = summarise_profiles(records)
    if not proofs:
        raise MontessoriError("no experiment is complete", next="make proof SEEDS=0-4")
    files: list[Path] = []
    for profile, proof in proofs.items():
        files += _write_proof(root, profile, proof)
    blocks = make_blocks(root, proofs, records)
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    files += [page for page in pages if fill_page(page, blocks)]
    return files


def summarise_profiles(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Summarise each profile, with every run's figures from its newest record."""
    choose = choose_newest(records)
    profiles = dict.fromkeys(record["profile"] for record in records)
    return {
        profile: summarise_records(records_of(records, profile), choose) for profile in profiles
    }


def _write_proof(root: Path, profile: str, proof: Mapping[str, Any]) -> list[Path]:
    """Write a profile's proof and its picture."""
    summary = root / "metrics" / "proof" / f"{profile}.json"
    write_json(summary, proof)
    picture = _picture_path(root, profile)
    write_text(picture, standalone_chart(proof_figure(proof)))
    return [summary, picture]


def make_blocks(
    root: Path, proofs: Mapping[str, Mapping[str, Any]], records: Sequence[Record]
) -> Blocks:
    """Map the name of each marked place to the function that writes its text for a page."""
    blocks: dict[str, Callable[[Path], str]] = {
        "papers": lambda page: papers_block(list(proofs.values())),
        "headline": lambda page: headline_block(records),
    }
    for profile, proof in proofs.items():
        picture = _picture_path(root, profile)
        blocks[f"{profile} summary"] = partial(_summary_on, proof, picture)
        blocks[f"{profile} details"] = partial(_details_on, proof)
    return blocks


def _picture_path(root: Path, profile: str) -> Path:
    return root / "docs" / "img" / f"proof-{profile}.svg"


def _summary_on(proof: Mapping[str, Any], picture: Path, page: Path) -> str:
    return summary_block(proof, _relative_address(picture, page))


def _details_on(proof: Mapping[str, Any], page: Path) -> str:
    return details_block(proof)


def _relative_address(picture: Path, page: Path) -> str:
    return Path(os.path.relpath(picture, page.parent)).as_posix()


def fill_page(page: Path, blocks: Blocks) -> bool:
    """Write the blocks between the marks of a Markdown page that have their names.

    Marks with other names stay as they are. Returns whether the page has a mark with a block.
    """
    if not page.is_file():
        return False
    filled_names: list[str] = []

    def replace_text(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in blocks:
            return place.group()
        filled_names.append(name)
        return f"<!-- proof:begin {name} -->\n{blocks[name](page).strip()}\n{END}"

    text = page.read_text(encoding="utf-8")
    filled = PLACE.sub(replace_text, text)
    if filled != text:
        write_text(page, filled)
    return bool(filled_names)
