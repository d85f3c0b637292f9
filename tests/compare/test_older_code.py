"""A comparison that older code or other params made must say so.

What would break: figures of earlier code stand in the table as if the code at hand had made them.
"""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from montessori.compare.older_code import older_note, stages_behind
from montessori.pipeline.code import list_code

PARAMS: dict[str, Any] = {"synth": {"rows": 5, "note": None}, "seed": 0, "runs": {"a": {}}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a lock of three stages in a row, one beside them, and a comparison."""
    (tmp_path / "stages").mkdir()
    (tmp_path / "montessori").mkdir()
    (tmp_path / "montessori/core.py").write_text("WORK = 1\n")
    names = ("synth", "student-sft", "eval", "leaks", "compare")
    for name in names:
        script = tmp_path / "stages" / f"{name.replace('-', '_')}.py"
        script.write_text("import montessori.core\n" if name == "synth" else "")
    lock(tmp_path)
    return tmp_path


def lock(root: Path) -> None:
    stages = {
        "synth@a": entry(
            root, "synth", [], "data/datasets/a", {"seed": 0, "synth": {"rows": 5, "note": None}}
        ),
        "student-sft@a": entry(root, "student-sft", ["data/datasets/a"], "data/students/a", {}),
        "eval@a": entry(
            root, "eval", ["data/students/a/model"], "metrics/eval/a.json", {"synth.rows": 5}
        ),
        "eval@gone": entry(root, "eval", [], "metrics/eval/gone.json", {"synth.rows": 6}),
        "leaks@a": entry(root, "leaks", ["data/datasets/a"], "metrics/leaks/a.json", {}),
        "compare": entry(root, "compare", ["metrics/eval"], "metrics/compare.json", {}),
    }
    with (root / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": stages}, file)


def entry(
    root: Path, name: str, deps: list[str], out: str, params: dict[str, Any]
) -> dict[str, Any]:
    script = f"stages/{name.replace('-', '_')}.py"
    code = hashlib.md5(list_code(root, [script])[script].encode()).hexdigest()
    made: dict[str, Any] = {
        "cmd": "x",
        "deps": [
            {"path": f"data/code/{name}", "md5": code},
            *({"path": path, "md5": "0"} for path in deps),
        ],
        "outs": [{"path": out, "md5": "0"}],
    }
    return made | ({"params": {"params.yaml": params}} if params else {})


def test_stages_behind_are_those_whose_outputs_were_read() -> None:
    stages = {
        "a": {"outs": [{"path": "data/a"}]},
        "b": {"deps": [{"path": "data/a/part"}], "outs": [{"path": "metrics/b/x.json"}]},
        "c": {"deps": [{"path": "metrics/b"}], "outs": [{"path": "metrics/c.json"}]},
        "d": {"deps": [{"path": "data/a"}], "outs": [{"path": "data/ab"}]},
    }
    assert stages_behind(stages, ["c"]) == ["a", "b", "c"]
    assert stages_behind(stages, ["b", "nothing"]) == ["a", "b"]


def test_nothing_is_said_of_the_code_and_params_at_hand(root: Path) -> None:
    assert older_note(root, PARAMS) == ""
    (root / "stages/leaks.py").write_text("LOOKS = 1\n")  # decides no figure
    (root / "stages/compare.py").write_text("SHOWS = 1\n")
    assert older_note(root, PARAMS) == ""
    (root / "dvc.lock").unlink()
    assert older_note(root, PARAMS) == ""


@pytest.mark.parametrize("change", ["code", "params", "no script", "no key"])
def test_older_stages_are_counted_and_named(root: Path, change: str) -> None:
    params = {**PARAMS, "synth": dict(PARAMS["synth"])}
    if change == "code":
        (root / "montessori/core.py").write_text("WORK = 2\n")
    elif change == "no script":
        (root / "stages/synth.py").unlink()
    elif change == "no key":
        del params["seed"]
    else:
        params["synth"]["note"] = "another"
    assert older_note(root, params) == (
        "Recorded by older code: 1 of the 3 stages behind these figures ran with other code or "
        "params than those at hand (synth@a). Next: dvc repro."
    )


def test_table_prints_the_note_below(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from montessori import cli
    from montessori.compare import comparison_table

    monkeypatch.chdir(root)
    monkeypatch.setattr(comparison_table, "format_comparison", lambda *_: "| run |")
    with (root / "params.yaml").open("w") as file:
        YAML().dump(PARAMS, file)
    assert CliRunner().invoke(cli.app, ["table"]).output == "| run |\n"
    (root / "montessori/core.py").write_text("WORK = 2\n")
    assert "Recorded by older code: 1 of the 3" in CliRunner().invoke(cli.app, ["table"]).output
