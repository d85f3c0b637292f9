"""What the project writes of rows, read back by its own reader.

What would break: a dataset, a probe or a seed pool of one project cannot be given to another, or
comes back with other texts.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from montessori.artifacts.files import write_table
from montessori.artifacts.schemas import PROBE, ROWS
from montessori.sources.rows.read import read_rows
from montessori.sources.rows.row import Row
from montessori.sources.tables import probe_table, rows_table

ODD = 'Zeile 1\nLine, "two"\t3\u2028next \x85 中文。 क्या 😀'
SOME = [
    Row(("Name a bird.",), ("A wren.",), skill="birds", prompt="Write.", raw="<i>x</i>"),
    Row((ODD, "再来一个"), (ODD[::-1], "好"), system="Be brief.\n简短", prompt="Write.", raw="y"),
    Row(("null",), ("NaN",), prompt="Write two.", raw="z"),
    Row(("007",), ("[1]",), skill="1", prompt="Write two.", raw="w"),
]


def save(table: pl.DataFrame, path: Path) -> None:
    """A table as people hand it on; lists in CSV are JSON, as pandas and the hub's viewer do it."""
    if path.suffix == ".jsonl":
        table.write_ndjson(path)
    elif path.suffix == ".json":
        table.write_json(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        texts = [json.dumps(messages) for messages in table["messages"].to_list()]
        flat = table.with_columns(messages=pl.Series(texts))
        flat.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.parquet", "r.csv", "r.tsv"])
@pytest.mark.parametrize("kind", ["dataset", "seeds"])
def test_tables_of_rows_come_back_as_they_were(kind: str, name: str, tmp_path: Path) -> None:
    table = probe_table(SOME) if kind == "dataset" else rows_table(SOME)[0]
    path = tmp_path / name
    save(table, path)
    found = read_rows(path).rows
    wanted = SOME
    if kind == "seeds":  # the table of a set has no columns of a teacher
        wanted = [row._replace(prompt=None, raw=None) for row in SOME]
    assert [row._replace(where="") for row in found] == wanted
    again = probe_table(found) if kind == "dataset" else rows_table(found)[0]
    assert again.equals(table)


@pytest.mark.parametrize("kind", ["dataset", "seeds"])
def test_the_file_of_an_artifact_is_a_source_as_it_is(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    if kind == "dataset":
        write_table(probe_table(SOME), path, PROBE)
    else:
        write_table(rows_table(SOME)[0], path, ROWS)
    assert [row.messages for row in read_rows(path).rows] == [row.messages for row in SOME]
