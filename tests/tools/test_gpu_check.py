"""The script for a GPU runs to its end, and its figures become tables.

What would break: a GPU at hand for minutes, and a script that stops at its first part.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_table():
    spec = importlib.util.spec_from_file_location("gpu_table", ROOT / "tools" / "gpu_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*options: str, command: str, out: Path) -> subprocess.CompletedProcess[str]:
    script = [ROOT / "tools" / "gpu_check.sh", "--out", out, *options]
    environment = {**os.environ, "MONTESSORI": command}
    return subprocess.run(
        script, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow  # a minute of real measurements
def test_a_dry_run_measures_every_part(tmp_path: Path) -> None:
    done = run("--device", "cpu", command=f"{sys.executable} -m montessori.cli", out=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.stem for path in tmp_path.glob("*.json")} == {
        "influence-large-plain",
        "influence-large-compiled",
        "influence-small-compiled",
        "train-small",
        "train-large-lora",
    }
    text = load_table().tables(tmp_path)
    assert text.count("| cpu |") == 3 + 3 + 1


def test_a_part_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """The stand-in for the command fails for training and writes its arguments otherwise."""
    stand_in = tmp_path / "stand-in"
    stand_in.write_text(
        '#!/bin/sh\n[ $2 = train ] && exit 3\nfor last; do true; done; echo "$@" > "$last"\n'
    )
    stand_in.chmod(0o755)
    done = run("--device", "cuda", command=str(stand_in), out=tmp_path / "out")
    assert done.returncode == 1
    assert "2 parts without figures" in done.stdout
    parts = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.json")}
    assert parts["influence-large-plain"].startswith("bench influence llama3-8b --precision bf16")
    assert "--no-compile --device cuda" in parts["influence-large-plain"]
    assert "generate" in parts


def test_an_unknown_option_is_said(tmp_path: Path) -> None:
    done = run("--gpu", "0", command="true", out=tmp_path)
    assert done.returncode == 2
    assert "unknown option --gpu" in done.stderr


def test_tables_of_figures(tmp_path: Path) -> None:
    table = load_table()
    assert table.tables(tmp_path) == table.NOTHING
    shared = {"device": "H200", "parameters": 8_030_261_248, "peak_memory_of_weights": 4.5}
    influence = shared | {
        "probes_per_second": 3.25,
        "tokens_per_second": 1625.4,
        "of_floor": 1.05,
        "of_matrix_rate": 0.41,
    }
    step = {"seconds_per_step": 0.5, "tokens_per_second": 4800.0, "peak_memory_of_weights": 4.1}
    (tmp_path / "influence-large-compiled.json").write_text(json.dumps(influence))
    (tmp_path / "train-small.json").write_text(json.dumps(shared | {"sft": step, "dpo": step}))
    text = table.tables(tmp_path)
    assert (
        "| influence-large-compiled | H200 | 8,030,261,248 | 3.25 | 1,625 | 1.05 | 41% | 4.5 |\n"
        in text
    )
    assert "| train-small | H200 | 8,030,261,248 | sft | 0.500 | 4,800 | 4.1 |\n" in text
    assert "sft-lora" not in text
