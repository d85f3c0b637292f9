"""The tutorial of a new signal, carried out step by step on a copy of the repository.

What would break: a newcomer follows the page and ends in an error, or a signal costs more files
than the page says because a list of stages is kept by hand somewhere.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from measure_house import signal_files

from montessori.artifacts.files import read_json
from montessori.graph.edit import merge_changes
from montessori.graph.load import parse_yaml
from montessori.graph.stages import read_graph
from tests.tiny_rows import write_probe

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorials" / "new-signal.md"
#: `- file: PATH`, where the block below goes, and the block.
STEP = re.compile(
    r"^- file: `([^`]+)`(?:, (above|in place of) the line that begins with `([^`]+)`)?\n\n"
    r"```\w+\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
COPIED = ("montessori", "stages", "tests", "tools", "docs/reference")
FILES = ("dvc.yaml", "params.yaml", "pyproject.toml")
CHECK = """
from pathlib import Path
from montessori.commands.check import check_params
from montessori.graph.load import read_yaml
from params_reference import describe_params
from montessori.graph.stages import read_graph
from stages_reference import describe_stages
from tests.graph_contract import find_row_problems, find_script_problems, find_stage_problems
check_params(read_yaml("params.yaml"), Path())
assert "## varieties" in describe_params()
assert "`data/variety/NAME`" in describe_stages(Path())
graph = read_graph(Path())
(stage,) = graph.stages_of("varieties")
problems = [*find_stage_problems(Path(), stage), *find_script_problems(graph)]
problems += find_row_problems(graph)
assert not problems, problems
"""


class Step(NamedTuple):
    """One step of the page: a file, where in it a text goes (nowhere: it is the file), the text."""

    file: str
    where: str
    line: str
    text: str


def read_steps() -> list[Step]:
    """The steps of the page, in its order."""
    return [Step(*groups) for groups in STEP.findall(PAGE.read_text(encoding="utf-8"))]


def carry_out(step: Step, root: Path) -> None:
    """Do to the copy at `root` what a step says."""
    path = root / step.file
    if not step.where:
        assert not path.exists(), f"{step.file} is no new file"
        path.write_text(step.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if line.strip().startswith(step.line)]
    assert len(places) == 1, f"{step.file}: {len(places)} lines begin with {step.line}"
    start, end, text = places[0], places[0] + 1, step.text
    if step.where == "above":
        end, text = start, text + ("\n\n" if path.suffix == ".py" else "\n")
    path.write_text("".join([*lines[:start], text, *lines[end:]]))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the steps of the page carried out."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    (root / "data").mkdir()
    (root / "data" / "micro").symlink_to(ROOT / "data" / "micro")
    for step in read_steps():
        carry_out(step, root)
    return root


def run_in(root: Path, *command: str) -> None:
    """Run Python in the copy, with its package and tools; the output is shown if it fails."""
    environment = {"PYTHONPATH": f"{root}:{root / 'tools'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]


def test_a_signal_costs_six_files():
    files = {step.file for step in read_steps()}
    assert signal_files(ROOT) == len(files) == 6
    blocks = PAGE.read_text(encoding="utf-8").count("- file: ")
    assert blocks == len(read_steps()), "a step has another form than this test reads"


def test_the_contract_the_checks_and_the_reference_pages_know_the_signal(copy: Path):
    run_in(copy, "-c", CHECK)


def test_the_signals_own_test_passes(copy: Path):
    options = ("-q", "-p", "no:cacheprovider", "--noconftest")  # which loads torch
    run_in(copy, "-m", "pytest", *options, "tests/signals/test_variety.py")


def test_the_code_of_the_page_is_in_shape(copy: Path):
    pytest.importorskip("ruff")
    written = [step.file for step in read_steps() if step.file.endswith(".py")]
    run_in(copy, "-m", "ruff", "check", "--no-cache", *written)
    run_in(copy, "-m", "ruff", "format", "--check", "--no-cache", *written)


def test_the_stage_runs_on_tiny_data(copy: Path):
    write_probe(copy / "data/probe/montessori-1", prompts=3, samples=2)
    params = (copy / "params.yaml").read_text()
    (copy / "params.yaml").write_text(merge_changes(params, {"variety": {"ngram": 1}}))
    (stage,) = read_graph(copy).stages_of("varieties")
    words = [f"stages.{Path(stage.script).stem}"]
    for option, value in stage.options.items():
        filled = value.replace("${key}", "tiny").replace("${item.probe}", "montessori-1")
        words += [f"--{option}", filled]
    run_in(copy, "-m", *words)
    assert (copy / "data/variety/tiny/scores.parquet").is_file()
    assert read_json(copy / "metrics/variety/tiny.json")["rows"] == 5
    (copy / "params.yaml").write_text(params)


def test_the_round_of_the_last_step_passes_the_check(copy: Path):
    (rows,) = re.findall(r"```yaml\n(rounds:\n.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    params = (copy / "params.yaml").read_text()
    (copy / "params.yaml").write_text(merge_changes(params, parse_yaml(rows, PAGE.name)))
    run_in(copy, "-c", CHECK)
    (copy / "params.yaml").write_text(params)
