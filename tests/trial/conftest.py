"""A project folder for trials: short rows, small batches, one thread."""

import json
from pathlib import Path

import pytest

from montessori.graph.load import read_yaml
from montessori.trial.candidate import DEFAULTS, Candidate, read_settings

ROOT = Path(__file__).parents[2]
CHANGES = {
    "model": {"fallback_template": str(ROOT / "montessori/templates/plain_chat.jinja")},
    "instruction": {
        "template": str(ROOT / "data/micro/prompts/instruction.jinja"),
        "seed_examples": 3,
        "max_new_tokens": 48,
        "presence_penalty": 0.0,
    },
    "response": {"max_new_tokens": 16, "presence_penalty": 0.0},
    "warmup": {"batch": 4, "learning_rate": 1e-3, "max_length": 128},
    "influence": {"learning_rate": 1e-5, "max_length": 128},
    "student_sft": {"batch": 4, "learning_rate": 1e-3, "max_length": 128},
    "teacher_dpo": {"learning_rate": 1e-4, "max_length": 384},
    "judge": {"prompts": str(ROOT / "montessori/templates/judge"), "max_new_tokens": 64},
    "machine": {"device": "cpu", "threads": 1, "generation_batch": 8},
}


def write_params(folder: Path, **changes: dict) -> None:
    """A params.yaml in a folder: the defaults with CHANGES, and with those."""
    raw = read_yaml(DEFAULTS)
    for section, values in [*CHANGES.items(), *changes.items()]:
        raw[section] = {**raw.get(section, {}), **values}
    (folder / "params.yaml").write_text(json.dumps(raw), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with params.yaml."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_params(folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def candidate(project: Path, student: Path, tmp_path: Path) -> Candidate:
    """A tiny Llama, prepared, as a teacher and student."""
    from montessori.trial.folder import ask_folder

    made = Candidate(student, ("teacher", "student"), read_settings(project), tmp_path / "work")
    made.work.mkdir()
    ask_folder(made)
    return made
