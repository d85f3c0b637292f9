"""The seed stage: seed pool, reference sets and eval sets, disjoint by check."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.artifacts.atomic import write_text
from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import ROWS
from montessori.sources.benchmarks import (
    SPLIT,
    find_gamed_answers,
    own_items,
    public_items,
)
from montessori.sources.drawn import draw_items
from montessori.sources.heldout import HELDOUT, heldout_facts, heldout_items, load_heldout
from montessori.sources.load import find_recipe, load_evals_recipe, load_rows
from montessori.sources.overlap import check_disjoint, item_members, row_members
from montessori.sources.rows.read import RowsRead
from montessori.sources.rows.row import Row
from montessori.sources.rows.settings import ReadingParams
from montessori.sources.tables import rows_table

#: What the sets of rows are called in errors.
SETS = {
    "seeds": "seed pool",
    "reference": "reference set",
    "other_reference": "other reference set",
}
LIBRARIES = ("polars",)
ALPACA = "alpaca_eval"
#: AlpacaEval's table of gamed answers beside its items, where the folder of benchmarks has it.
GAMED_FILE = "alpaca_eval_gamed.csv"

Splits = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]


def prepare_sources(
    sources: Mapping[str, Path],
    evals: Path,
    outs: Mapping[str, Path],
    out_evals: Path,
    ngram: int,
    heldout: Path | None = None,
    reading: ReadingParams | None = None,
) -> dict[str, Any]:
    """Read all sources, check that they share no content, write one folder for each.

    `sources` and `outs` have the keys of SETS; a source is a file of rows or a recipe. `evals` is
    a recipe of the lab, a folder of public benchmarks or a file of items; `ngram` words
    in a row tell a long eval item; `heldout` has held-out rows, which join the eval items as a
    split of their own; `reading` is how files of rows are read. Nothing is written unless
    everything is right. Returns the stage's metrics:
    rows, dropped repeated rows and rows per skill of each set, items of each benchmark, and what
    was not read as it stood. Raises MontessoriError.
    """
    # All sources are read and checked before the first folder is written.
    read = {name: load_rows(sources[name], reading=reading) for name in SETS}
    (splits, of_items), origin = load_items(evals, reading), {"source": evals}
    own, facts = load_heldout(heldout, reading)
    if heldout is not None and own:
        splits = {**splits, HELDOUT: {HELDOUT: heldout_items(own)}}
        origin[HELDOUT] = heldout
    _require_disjoint({name: read[name].rows for name in SETS}, splits, ngram)
    gamed = find_gamed_answers(evals) if evals.is_dir() and ALPACA in splits[SPLIT] else None
    metrics = {name: _write_rows(read[name], sources[name], outs[name]) for name in SETS}
    if own:
        metrics[HELDOUT] = heldout_facts(own, facts)
    metrics["evals"] = _write_evals(splits, origin, gamed, out_evals)
    return metrics | ({"evals_read": of_items} if of_items else {}) | {"overlaps": 0}


def _require_disjoint(rows: Mapping[str, Sequence[Row]], splits: Splits, ngram: int) -> None:
    members = {title: row_members(rows[name]) for name, title in SETS.items()}
    items = {
        f"{split} items": item_members(listed)
        for split, listed in splits.items()
        if split != HELDOUT
    }
    check_disjoint(members, items, ngram)
    if HELDOUT in splits:
        # By themselves, because held-out rows may be items of a benchmark as well: then one row is
        # measured in two ways, and no training data are concerned.
        check_disjoint(members, {"held-out rows": item_members(splits[HELDOUT])}, ngram)


def load_items(evals: Path, reading: ReadingParams | None = None) -> tuple[Splits, dict[str, Any]]:
    """Eval items by split and benchmark, from whatever `sources.evals` names.

    And what reading counts of files of one's own. Raises MontessoriError when it is none of a
    folder, a file of items and a recipe.
    """
    if evals.is_dir():
        items, facts = public_items(evals, reading)
        return {SPLIT: items}, facts
    if find_recipe(evals) is None:
        items, facts = own_items(evals, reading)
        return {SPLIT: items}, facts
    return draw_items(load_evals_recipe(evals), str(evals)), {}


def _write_rows(read: RowsRead, source: Path, out: Path) -> dict[str, Any]:
    table, repeated = rows_table(read.rows)
    facts: dict[str, Any] = {"rows": table.height, "repeated": repeated}
    with new_folder(out, {"source": source}, facts, LIBRARIES) as folder:
        write_table(table, folder / "rows.parquet", ROWS)
    skills = Counter(row.skill for row in read.rows if row.skill is not None)
    return facts | read.facts | ({"skills": dict(skills)} if skills else {})


def _write_evals(
    splits: Splits, sources: Mapping[str, Path], gamed: Path | None, out: Path
) -> dict[str, dict[str, int]]:
    counts = {
        split: {name: len(items) for name, items in benchmarks.items()}
        for split, benchmarks in splits.items()
    }
    with new_folder(out, sources, counts, LIBRARIES) as folder:
        for split, benchmarks in splits.items():
            (folder / split).mkdir()
            for name, items in benchmarks.items():
                # Sorted keys and no ASCII escapes: the same items always give the same, readable
                # bytes.
                lines = (json.dumps(item, ensure_ascii=False, sort_keys=True) for item in items)
                text = "".join(line + "\n" for line in lines)
                write_text(folder / split / f"{name}.jsonl", text)
        if gamed is not None:
            shutil.copyfile(gamed, folder / SPLIT / GAMED_FILE)
    return counts
