"""What a record keeps: metrics of every stage, exams, and that no exam may be missing.

What would break: a record lacks the metrics of a stage, or an experiment without one of its exams
counts as complete.
"""

import json
from pathlib import Path

import pytest

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.stages import read_graph
from montessori.proof import record
from montessori.proof.experiments import Experiment

GRAPH = read_graph(Path(__file__).parents[2])
PARAMS = {
    "datasets": {"d": {"teacher": "models/teacher", "seeds": "seed/seeds"}},
    "students": {"s": {"dataset": "d", "student": "student"}},
    "runs": {
        "base": {"model": "models/student", "against": "s"},
        "s": {"model": "students/s", "against": "s"},
        "again": {"model": "students/s", "against": "s"},
    },
    "exams": {
        "row": {"model": "students/s", "tasks": "lab"},
        "elsewhere": {"model": "models/teacher", "tasks": "lab"},
    },
}
TEXTS = {f"metrics/eval/{run}.json": '{"mean": 40.0}' for run in PARAMS["runs"]}
EXAMS = {
    f"metrics/exam/{row}.json": json.dumps({"accuracy": value, "tasks": {"t": value}})
    for row, value in {"row": 62.5, "elsewhere": 90.0}.items()
}


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setattr(record, "_run_budgets", lambda params, graph, texts: {})
    monkeypatch.setattr(record, "commit_date", lambda root, reference: "2026-12-01T10:00:00Z")
    monkeypatch.setattr(record, "read_graph", lambda root: GRAPH)
    return Experiment("exams", "student", 0, "x", (), PARAMS)


def test_every_run_with_the_model_of_an_exam_has_its_accuracy(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "read_files", lambda *_: TEXTS | EXAMS)
    record.write_record(tmp_path, experiment, "HEAD")
    written = read_json(record.record_path(tmp_path, experiment))
    assert written["recorded"] == "2026-12-01T10:00:00Z"
    assert written["metrics"]["eval"] == {
        "base": {"mean": 40.0},
        "s": {"mean": 40.0, "exam lab": 62.5},
        "again": {"mean": 40.0, "exam lab": 62.5},
    }


def test_an_experiment_without_one_of_its_exams_is_incomplete(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {name: text for name, text in (TEXTS | EXAMS).items() if "elsewhere" not in name}
    monkeypatch.setattr(record, "read_files", lambda *_: texts)
    with pytest.raises(MontessoriError, match="no metrics of: exam@elsewhere"):
        record.write_record(tmp_path, experiment, "HEAD")
    assert not record.record_path(tmp_path, experiment).exists()


def test_a_record_has_the_metrics_of_every_stage_that_writes_some(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = GRAPH.metrics_folders()
    texts = {f"metrics/{folder}/x.json": '{"rows": 3}' for folder in folders}
    monkeypatch.setattr(record, "read_files", lambda *_: texts | TEXTS | EXAMS)
    record.write_record(tmp_path, experiment, "HEAD")
    written = read_json(record.record_path(tmp_path, experiment))["metrics"]
    with_metrics = [stage for stage in GRAPH.stages if any("metrics/" in o for o in stage.outs)]
    missing = {stage.kind for stage in with_metrics if stage.metrics not in written}
    assert missing == {"compare"}  # its metrics are the comparison itself
    assert {folder for folder in folders if "x" in written[folder]} == set(folders)


def test_the_round_of_a_trimmed_dataset_is_that_of_the_whole_one() -> None:
    rows = {
        "datasets": {"d": {"teacher": "teachers/r", "seeds": "seed/seeds"}},
        "trims": {"t": {"dataset": "d", "like": "d"}, "tt": {"dataset": "t", "like": "d"}},
        "students": {"s": {"dataset": "tt", "student": "student"}},
        "runs": {"s": {"model": "students/s", "against": "s"}},
    }
    assert record._describe_runs(rows)["s"] == {"against": "s", "dataset": "tt", "round": "r"}
