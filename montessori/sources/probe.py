"""The probe-file stage: probing data from a file of one's own."""

from pathlib import Path
from typing import Any

from montessori.artifacts import PROBE, new_folder, write_table
from montessori.sources.rows import read_rows
from montessori.sources.tables import probe_table


def probe_file(path: Path, out: Path) -> dict[str, Any]:
    """Write a file of one's own rows as probing data (PROBE schema); returns the stage's metrics.

    Raises MontessoriError for a missing, empty or malformed file.
    """
    table = probe_table(read_rows(path))
    facts = {
        "rows": table.height,
        "kept": table["dropped"].null_count(),
        "prompts": table["prompt_id"].n_unique(),
    }
    with new_folder(out, {"rows": path}, facts, libraries=("polars",)) as folder:
        write_table(table, folder / "rows.parquet", PROBE)
    return facts
