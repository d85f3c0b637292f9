"""Per-item outcomes of a public benchmark, in the columns of the runs' outcomes."""

import json
from pathlib import Path

import polars as pl

from montessori.artifacts.atomic import write_text
from montessori.evals.outcomes import SCHEMA


def write_task_outcomes(path: Path, samples: pl.DataFrame, task: str) -> None:
    """Write a row per item, metric and filter as CSV: the unit of a comparison of two runs.

    samples: schema SAMPLES. A benchmark is `task` with metric and filter, such as
    "gsm8k exact_match (strict-match)"; values are lm-eval's times 100. Metrics that are not one
    number per item, such as a perplexity's, have no outcomes.
    """
    rows = []
    for item, kind, metrics in samples.select("item", "filter", "metrics").iter_rows():
        for metric, value in json.loads(metrics).items():
            if isinstance(value, int | float):
                rows.append((item, benchmark_name(task, metric, kind), 100.0 * value, None))
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").sort("benchmark", "item_id")
    write_text(path, frame.write_csv(float_precision=4))


def benchmark_name(task: str, metric: str, kind: str) -> str:
    """A metric of a task as a benchmark; lm-eval's filter is named where a task has several."""
    return f"{task} {metric}" if kind == "none" else f"{task} {metric} ({kind})"
