"""Write what git keeps of one experiment: metrics/proof/<profile>/<student>-<seed>.json."""

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Mapping
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
    "rows",
    "teacher_tokens",
    "student_flops",
    "teacher_flops",
    "judge_calls",
    "judge_tokens",
    "usd",
    "baseline_rows_at_equal_teacher_tokens",
    "baseline_rows_at_equal_student_flops",
)
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
    texts = read_files(root, reference, (".json", ".csv"))
    # Only from the commit: the working tree may hold another experiment's metrics.
    metrics = _stage_metrics(graph, texts)
    runs = _describe_runs(experiment.params)
    _check_complete(experiment, runs, metrics["eval"], texts)
    for run, accuracies in _exam_accuracies(experiment.params, texts).items():
        metrics["eval"][run] |= accuracies
    record = {
        "digest": experiment.digest,
        "recorded": commit_date(root, reference),
        "experiment": experiment.name,
        "student": experiment.student,
        "seed": experiment.seed,
        "order": list(runs),
        "runs": runs,
        "metrics": {kind: values for kind, values in metrics.items() if values},
        "skills": _skills_by_dataset(texts),
        "budgets": _run_budgets(experiment.params, graph, texts),
    }
    write_json(record_path(root, experiment), record)


def _stage_metrics(graph: Graph, texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The metrics of each stage by folder of metrics/ and name, without their curves."""
    metrics: dict[str, dict[str, Any]] = {folder: {} for folder in graph.metrics_folders()}
    for name, text in texts.items():
        path = PurePosixPath(name).relative_to("metrics")
        folder = path.parent.as_posix()
        if path.suffix == ".json" and folder in metrics:
            metrics[folder][path.stem] = _drop_curves(json.loads(text))
    return metrics


def _skills_by_dataset(texts: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """The rows per skill of each dataset that has a plot of them."""
    skills = {}
    for name, text in texts.items():
        path = PurePosixPath(name)
        if path.parent.as_posix() == "metrics/plots/synth":
            skills[path.stem] = _count_skills(text)
    return skills


def _check_complete(
    experiment: Experiment,
    runs: Iterable[str],
    evaluated: Mapping[str, Any],
    texts: Mapping[str, str],
) -> None:
    """Raise MontessoriError if a run or an exam of the experiment has no metrics."""
    missing = [run for run in runs if run not in evaluated]
    for row in experiment.params.get("exams", {}):
        if f"metrics/exam/{row}.json" not in texts:
            missing.append(f"exam@{row}")
    if missing:
        raise MontessoriError(
            f"experiment {experiment.name} has no metrics of: {', '.join(missing)}",
            next=f"dvc exp remove {experiment.name}, then the same command again",
        )


def _describe_runs(params: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
    """Say for each run its `against`, its dataset and its round (None for a base model)."""
    rows: dict[str, dict[str, str | None]] = {}
    written = {**params.get("tailored", {}), **params["datasets"]}
    trims = params.get("trims", {})
    for run, row in params["runs"].items():
        section, _, student = row["model"].partition("/")
        dataset = params["students"][student]["dataset"] if section == "students" else None
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
    """The accuracies in % of each run whose model took exams, named as in the comparison."""
    accuracies: dict[str, dict[str, float]] = {}
    for name, row in params.get("exams", {}).items():
        for run, run_row in params["runs"].items():
            if run_row["model"] == row["model"]:
                accuracy = json.loads(texts[f"metrics/exam/{name}.json"])["accuracy"]
                accuracies.setdefault(run, {})[exam_name(row["tasks"])] = accuracy
    return accuracies


def _run_budgets(
    params: Mapping[str, Any], graph: Graph, texts: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The costs of each run, without seconds, which are not in git."""
    # The costs are computed from a folder of metrics, and the experiment's exist only in git.
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        rows, _ = read_rows(params)
        budgets = compute_budgets(rows, graph, Path(folder, "metrics"))
    shown = cost_figures(budgets, baseline_of(params))
    known = {}
    for run, values in shown.items():
        known[run] = {name: values[name] for name in COSTS if values[name] is not None}
    return known


def _count_skills(text: str) -> dict[str, int]:
    """Read the rows per skill from the plot's CSV (skill,rows)."""
    return {row["skill"]: int(float(row["rows"])) for row in csv.DictReader(io.StringIO(text))}


def _drop_curves(value: Any) -> Any:
    """Drop the long lists of nested metrics."""
    if isinstance(value, dict):
        short = {key: _drop_curves(child) for key, child in value.items()}
        return {key: child for key, child in short.items() if child is not None}
    if isinstance(value, list) and len(value) > LONGEST_LIST:
        return None
    return value
