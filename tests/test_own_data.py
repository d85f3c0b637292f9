"""A user's own student and rows: a real pre-trained model and real instructions, stage by stage.

What would break: the pipeline works on the lab alone.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ruamel.yaml import YAML

from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import PAIRS, SCORES

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
MODEL = SHARED / "models" / "stories260K" / "hf"
ALPACA = SHARED / "alpaca" / "alpagasus_random_9k.json"
SETTINGS: dict[str, dict[str, Any]] = {
    "warmup": {"rows": 32, "epochs": 1, "learning_rate": 5.0e-4, "max_length": 512},
    "influence": {"references": 16, "audit": 8, "max_length": 512, "learning_rate": 5.0e-6},
    "prefs": {"min_pairs": 4},
    "student_sft": {"epochs": 1, "max_length": 512, "learning_rate": 5.0e-4},
    "machine": {"threads": 1},
}

pytestmark = pytest.mark.skipif(
    not MODEL.exists(), reason="the shared folder with a real model and real rows is absent"
)


def stage(folder: Path, kind: str, **paths: str) -> None:
    """Run a stage as `dvc repro` would, in `folder`."""
    options = [f"--{name.replace('_', '-')}={path}" for name, path in paths.items()]
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{kind}", "--name=mine", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    lines = [
        {"instruction": r["instruction"], "input": r["input"], "response": r["output"]}
        for r in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with params, 120 probing rows and 64 rows for the seed stage."""
    path = tmp_path_factory.mktemp("own")
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    for name, values in SETTINGS.items():
        params[name].update(values)
    yaml.dump(params, path / "params.yaml")
    rows = [r for r in json.loads(ALPACA.read_text("utf-8")) if 0 < len(r["output"]) < 300]
    random.Random(0).shuffle(rows)
    for name, part in {
        "probe": rows[:120],
        "seeds": rows[120:160],
        "reference": rows[160:176],
        "other": rows[176:184],
    }.items():
        write_rows(path / f"{name}.jsonl", part)
    return path


@pytest.mark.slow
def test_a_real_student_learns_from_real_rows(folder: Path) -> None:
    template = str(ROOT / "montessori" / "templates" / "plain_chat.jinja")
    stage(folder, "models", source=str(MODEL), template=template, out="student")
    evals = str(ROOT / "data" / "micro" / "sources" / "evals.json")
    stage(
        folder,
        "seed",
        seeds="seeds.jsonl",
        reference="reference.jsonl",
        evals=evals,
        other_reference="other.jsonl",
        heldout=str(ROOT / "data" / "micro" / "sources" / "no_rows.json"),
        out_seeds="seeds",
        out_reference="reference",
        out_other_reference="other",
        out_evals="evals",
        metrics="seed.json",
    )
    stage(
        folder, "probe_file", rows="probe.jsonl", evals="evals", out="probe", metrics="probe.json"
    )
    stage(folder, "warmup", student="student", probe="probe", out="warmup", metrics="warmup.json")
    stage(
        folder,
        "influence",
        warmup="warmup",
        probe="probe",
        reference="reference",
        out="influence",
        metrics="influence.json",
        plot="influence.csv",
    )
    audit = read_json(folder / "influence.json")["audit"]
    assert audit["spearman"] >= 0.99
    assert audit["sign_agreement"] >= 0.95
    scores = read_table(folder / "influence" / "scores.parquet", SCORES)
    assert scores["score"].is_finite().all()
    assert scores["row_id"].n_unique() == scores.height

    stage(folder, "prefs", scores="influence", probe="probe", out="prefs", metrics="prefs.json")
    pairs = read_table(folder / "prefs" / "pairs.parquet", PAIRS)
    assert pairs.height >= 4
    assert pairs.select((pl.col("chosen_score") > pl.col("rejected_score")).all()).item()

    stage(
        folder,
        "dataset_file",
        rows="probe.jsonl",
        evals="evals",
        out="dataset",
        metrics="dataset.json",
    )
    stage(
        folder,
        "student_sft",
        student="student",
        dataset="dataset",
        out="tuned",
        metrics="sft.json",
        plot="sft.csv",
    )
    metrics = read_json(folder / "sft.json")
    assert metrics["rows"] == 120
    assert metrics["loss_last"] < metrics["loss_first"]
    assert (folder / "tuned" / "model.safetensors").exists()


def test_a_reference_row_that_is_a_seed_is_refused(folder: Path) -> None:
    evals = str(ROOT / "data" / "micro" / "sources" / "evals.json")
    with pytest.raises(AssertionError, match="of the seed pool are in the reference set"):
        stage(
            folder,
            "seed",
            seeds="seeds.jsonl",
            reference="seeds.jsonl",
            evals=evals,
            other_reference="other.jsonl",
            heldout=str(ROOT / "data" / "micro" / "sources" / "no_rows.json"),
            out_seeds="s",
            out_reference="r",
            out_other_reference="o",
            out_evals="e",
            metrics="m.json",
        )
    assert not (folder / "r").exists()
    assert not (folder / "m.json").exists()
