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


def test_a_run_of_a_base_model_has_neither_dataset_nor_round() -> None:
    assert record._describe_runs(PARAMS)["base"] == {"against": "s", "dataset": None, "round": None}


def test_a_dataset_of_an_untuned_teacher_or_of_a_file_has_no_round() -> None:
    rows = {
        "datasets": {"d": {"teacher": "models/teacher", "seeds": "seed/seeds"}},
        "tailored": {"own": {"teacher": "teachers/arte-1", "tasks": "t"}},
        "students": {
            "s": {"dataset": "d", "student": "student"},
            "file": {"dataset": "alpaca", "student": "student"},
            "arte": {"dataset": "own", "student": "student"},
        },
        "runs": {name: {"model": f"students/{name}", "against": "s"} for name in ("s", "file")}
        | {"arte": {"model": "students/arte", "against": "s"}},
    }
    found = record._describe_runs(rows)
    assert {name: (row["dataset"], row["round"]) for name, row in found.items()} == {
        "s": ("d", None),
        "file": ("alpaca", None),
        "arte": ("own", "arte-1"),
    }


def test_a_run_without_metrics_is_incomplete_and_says_how_to_repeat_it(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {name: text for name, text in (TEXTS | EXAMS).items() if name != "metrics/eval/s.json"}
    monkeypatch.setattr(record, "read_files", lambda *_: texts)
    with pytest.raises(MontessoriError, match="has no metrics of: s") as error:
        record.write_record(tmp_path, experiment, "HEAD")
    assert f"dvc exp remove {experiment.name}" in error.value.next


def test_only_a_record_of_the_same_inputs_completes_an_experiment(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "read_files", lambda *_: TEXTS | EXAMS)
    assert not record.is_complete(tmp_path, experiment)
    record.write_record(tmp_path, experiment, "HEAD")
    assert record.is_complete(tmp_path, experiment)
    path = record.record_path(tmp_path, experiment)
    assert path == tmp_path / "metrics" / "proof" / "exams" / "student-0.json"
    path.write_text(path.read_text().replace(experiment.digest, "another"))
    assert not record.is_complete(tmp_path, experiment)


def test_curves_stay_out_of_a_record_and_short_lists_in_it() -> None:
    """A list of more than eight numbers is a curve; the experiment's commit keeps it."""
    metrics = {"rows": 3, "deep": {"curve": list(range(9)), "best": [1, 2]}, "low": None}
    assert record._drop_curves(metrics) == {"rows": 3, "deep": {"best": [1, 2]}}


def test_rows_of_skills_are_counted_from_the_plot() -> None:
    assert record._count_skills("skill,rows\nsums,12\nother,3.0\n") == {"sums": 12, "other": 3}
    assert record._count_skills("skill,rows\n") == {}
