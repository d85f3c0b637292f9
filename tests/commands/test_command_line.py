"""The command line itself: help, exit statuses, errors without tracebacks, quick starts.

What would break: a mistake in params.yaml shows as a page of traceback, a script cannot tell
success from failure, or `montessori --help` takes the seconds that loading torch takes.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from montessori import cli
from montessori.errors import MontessoriError

ROOT = Path(__file__).parents[2]
COMMANDS = [
    [],
    ["check"],
    ["add"],
    ["add", "round"],
    ["add", "benchmark"],
    ["profile"],
    ["doctor"],
    ["try"],
    ["table"],
    ["budgets"],
    ["report"],
    ["proof"],
    ["shard"],
    ["bench"],
    ["bench", "influence"],
    ["bench", "generate"],
    ["bench", "icl"],
    ["bench", "filters"],
    ["bench", "harness"],
    ["score"],
    ["score", "alpaca-eval"],
    ["score", "mt-bench"],
]


def invoke(*words: str):
    """The result of a command in this process."""
    return CliRunner().invoke(cli.app, list(words))


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """The exit status of `montessori WORDS`, as a shell sees it."""
    monkeypatch.setattr("sys.argv", ["montessori", *words])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the project's params and graph, and nothing computed yet."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(words: list[str]):
    result = invoke(*words, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    below = result.output.partition("Usage: ")[2].partition("\n")[2]
    summary = re.split("Options|Arguments|Commands", below)[0]
    assert len(summary.split()) > 3


@pytest.mark.parametrize(
    "words",
    [["fly"], ["add", "probe"], ["add", "round"], ["shard", "influence@a"], ["check", "--quick"]],
    ids=" ".join,
)
def test_a_command_line_that_is_no_command_ends_with_status_2(words: list[str]):
    assert invoke(*words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "what", "next_step"),
    [
        (["table"], "compare.json", "dvc repro"),
        (["report"], "compare.json", "dvc repro"),
        (["profile", "no-such"], "no profile 'no-such'", "next: montessori profile lab"),
        (["shard", "influence@a", "2/1"], "'2/1' is not a shard", "next: give each of n"),
        (["add", "round", "m-9", "--from", "m-8"], "m-8", "next: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_problem_is_said_on_stderr_with_the_next_step_and_status_2(
    project: Path, monkeypatch, capsys, words: list[str], what: str, next_step: str
):
    assert run_main(monkeypatch, *words) == 2
    shown = capsys.readouterr()
    assert what in shown.err
    assert next_step in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_without_params_every_command_says_where_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for words in (["check"], ["table"], ["budgets"], ["report"]):
        assert run_main(monkeypatch, *words) == 2
        error = capsys.readouterr().err
        assert "file not found" in error
        assert "next: start in the root of the repository" in error


def test_a_bug_is_not_hidden_as_a_users_mistake(monkeypatch: pytest.MonkeyPatch):
    """Only a MontessoriError is a message; anything else keeps its traceback."""

    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", break_down)
    monkeypatch.setattr("sys.argv", ["montessori", "check"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_success_has_status_0(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(cli, "app", lambda: None)
    assert run_main(monkeypatch) == 0


def test_budgets_are_printed_and_written_before_anything_ran(project: Path):
    """Costs that nobody has measured yet are no column, and no zero either."""
    result = invoke("budgets", "--json", "figures.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((project / "figures.json").read_text())
    runs = ("base", "self-instruct", "montessori-1", "montessori-2")
    assert all(run in result.output for run in runs)
    assert set(runs) <= set(json.dumps(figures).replace('"', " ").split())


def test_an_unknown_run_is_refused_before_params_are_touched(project: Path):
    before = (project / "params.yaml").read_bytes()
    result = invoke("add", "benchmark", "gsm8k", "--runs", "base,nobody")
    assert isinstance(result.exception, MontessoriError)
    assert "nobody" in str(result.exception)
    assert (project / "params.yaml").read_bytes() == before


def test_help_loads_no_large_library():
    """Half a second of Python, not ten of torch: what people type most often stays quick."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from montessori.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'torch', 'transformers', 'polars', 'numpy', 'scipy', 'dvc', 'trl', 'lm_eval'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
