"""What is kept of one experiment: metrics/proof/<profile>/<student>-<seed>.json, in git."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from montessori.artifacts.files import read_json, write_json
from montessori.compare.cost_table import cost_figures
from montessori.compare.costs import baseline_of, compute_budgets
from montessori.errors import MontessoriError
from montessori.evals.items import exam_name
from montessori.graph.references import read_rows
from montessori.graph.stages import Graph, read_graph
from montessori.proof.experiment import commit_date, read_files
from montessori.proof.experiments import Experiment

COSTS = (
    "rows", "teacher_tokens", "student_flops", "teacher_flops", "judge_calls",
    "judge_tokens", "usd",
    "baseline_rows_at_equal_teacher_tokens", "baseline_rows_at_equal_student_flops",
)  # fmt: skip
LONGEST_LIST = 8  # longer lists in metrics are curves and stay in the experiment


def record_path(root: Path, experiment: Experiment) -> Path:
    """Where the record of an experiment lies."""
    folder = root / "metrics" / "proof" / experiment.profile
    return folder / f"{experiment.student}-{experiment.seed}.json"


def is_complete(root: Path, experiment: Experiment) -> bool:
    """Whether the record on disk belongs to this experiment, inputs included."""
    path = record_path(root, experiment)
    return path.exists() and read_json(path).get("digest") == experiment.digest


def write_record(root: Path, experiment: Experiment, reference: str) -> None:
    """Write the record of a finished experiment from its commit.

    Raises:
        MontessoriError: a run of the experiment's params has no metrics in it.
    """
    graph = read_graph(root)
    metrics: dict[str, dict[str, Any]] = {folder: {} for folder in graph.metrics_folders()}
    skills: dict[str, dict[str, int]] = {}
    texts = read_files(root, reference, (".json", ".csv"))
    for name, text in texts.items():
        path = PurePosixPath(name).relative_to("metrics")
        folder = path.parent.as_posix()
        if path.suffix == ".json" and folder in metrics:
            metrics[folder][path.stem] = _drop_curves(json.loads(text))
        elif folder == "plots/synth":
            skills[path.stem] = _count_skills(text)
    runs = _describe_runs(experiment.params)
    missing = [run for run in runs if run not in metrics["eval"]]
    missing += [f"exam@{row}" for row in experiment.params.get("exams", {})
                if f"metrics/exam/{row}.json" not in texts]  # fmt: skip
    if missing:
        raise MontessoriError(
            f"experiment {experiment.name} has no metrics of: {', '.join(missing)}",
            next=f"dvc exp remove {experiment.name}, then the same command again",
        )
    for run, taken in _exam_accuracies(experiment.params, texts).items():
        metrics["eval"][run] |= taken
    record = {
        "digest": experiment.digest,
        "recorded": commit_date(root, reference),
        "experiment": experiment.name,
        "student": experiment.student,
        "seed": experiment.seed,
        "order": list(runs),
        "runs": runs,
        "metrics": {kind: values for kind, values in metrics.items() if values},
        "skills": skills,
        "budgets": _run_budgets(experiment.params, graph, texts),
    }
    write_json(record_path(root, experiment), record)


def _describe_runs(params: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """For each run: what it is compared against, its dataset and its round (null for a base)."""
    rows: dict[str, dict[str, str | None]] = {}
    written = {**params.get("tailored", {}), **params["datasets"]}
    trims = params.get("trims", {})
    for run, row in params["runs"].items():
        place, _, student = row["model"].partition("/")
        dataset = params["students"][student]["dataset"] if place == "students" else None
        whole = dataset
        while whole in trims:  # a trimmed dataset may be trimmed again
            whole = trims[whole]["dataset"]
        teacher = written.get(whole, {}).get("teacher", "")
        round_name = teacher.partition("/")[2] if teacher.startswith("teachers/") else None
        rows[run] = {"against": row["against"], "dataset": dataset, "round": round_name}
    return rows


def _exam_accuracies(
    params: Mapping[str, Any], texts: Mapping[str, str]
) -> dict[str, dict[str, float]]:
    """For each run whose model took exams: its accuracies in %, named as in the comparison."""
    found: dict[str, dict[str, float]] = {}
    for name, row in params.get("exams", {}).items():
        for run, its in params["runs"].items():
            if its["model"] == row["model"]:
                accuracy = json.loads(texts[f"metrics/exam/{name}.json"])["accuracy"]
                found.setdefault(run, {})[exam_name(row["tasks"])] = accuracy
    return found


def _run_budgets(
    params: Mapping[str, Any], graph: Graph, texts: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """What each run cost, without seconds, which are not in git."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        rows, _ = read_rows(params)
        found = compute_budgets(rows, graph, Path(folder, "metrics"))
    shown = cost_figures(found, baseline_of(params))
    return {
        run: {name: values[name] for name in COSTS if values[name] is not None}
        for run, values in shown.items()
    }


def _count_skills(text: str) -> dict[str, int]:
    """Rows per skill, from the plot's CSV (skill,rows)."""
    return {row["skill"]: int(float(row["rows"])) for row in csv.DictReader(io.StringIO(text))}


def _drop_curves(value: Any) -> Any:
    """Nested metrics without their long lists."""
    if isinstance(value, dict):
        short = {key: _drop_curves(child) for key, child in value.items()}
        return {key: child for key, child in short.items() if child is not None}
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return None
    return value
