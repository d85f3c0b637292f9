"""Names of rows: what check accepts, DVC makes a stage of; what it refuses comes with another name.

What would break: `montessori check` calls params right of which DVC makes no stage, or a stage that
fails because its name is a level of params.yaml.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from montessori.commands.add import apply_round, benchmark_rows
from montessori.commands.check import find_problems
from montessori.errors import MontessoriError
from montessori.graph.load import parse_yaml, read_yaml
from montessori.graph.names import find_name_problem, suggest_name
from montessori.graph.references import read_rows
from montessori.graph.stages import read_graph

ROOT = Path(__file__).parents[2]
#: As they stand in params.yaml: with or without quotes.
WRITTEN = [
    "plain",
    "montessori-1",
    "A_b-c",
    "v15",
    "a1e5",
    "x-",
    '"3"',
    '"2026-11-30"',
    "5x",
    "3",
    "1.5",
    "1e5",
    "2026-11-30",
    "v1.5",
    "true",
    "null",
    "on",
    "No",
    '"a b"',
    "a/b",
    "größe",
    '"a;b"',
    "-y",
    "日本",
    '""',
]
DVC = """\
stages:
  toy:
    foreach: ${rows}
    do:
      cmd: "true ${key}"
      params: ["rows.${key}"]
      deps: ["${item.path}"]
      outs: ["made/${key}"]
"""


def test_dvc_makes_a_stage_of_every_name_that_is_accepted_and_none_of_a_number(tmp_path: Path):
    written = parse_yaml("".join(f"{name}: 1\n" for name in WRITTEN), "names")
    accepted = [name for name in written if not find_name_problem(name, "rows")]
    assert accepted == [name.strip('"') for name in WRITTEN[:9]]
    rows = "".join(f"  {name}: {{path: f}}\n" for name in [*WRITTEN[:9], 4])
    (tmp_path / "params.yaml").write_text("rows:\n" + rows)
    (tmp_path / "dvc.yaml").write_text(DVC)
    asked = (
        "from dvc.repo import Repo; repo = Repo.init('.', no_scm=True);"
        "print(*(stage.addressing for stage in repo.index.stages))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].split() == [f"toy@{name}" for name in accepted]


@pytest.mark.parametrize(
    ("name", "section", "other"),
    [
        (3, "rounds", "round-3"),
        ("3", "harnesses", "3"),
        (1.5, "probes", "probe-1-5"),
        ("v1.5", "probes", "v1-5"),
        ("a b/c", "probes", "a-b-c"),
        ("größe", "probes", "grosse"),
        ("on", "dataset_files", "dataset-file-on"),
        (True, "runs", "run-True"),
        ("日本", "tasks", "task"),
        ("x" * 90, "tasks", "x" * 80),
        ("fine", "tasks", "fine"),
    ],
)
def test_another_name_is_offered_that_is_accepted(name: Any, section: str, other: str):
    assert suggest_name(name, section) == other
    assert find_name_problem(other, section) is None
    problem = find_name_problem(name, section)
    assert problem is None if name == other else problem.endswith(f"call it {other}")


def problems_of(section: str, *names: Any) -> list[str]:
    raw = read_yaml(ROOT / "params.yaml")
    raw[section] |= {name: next(iter(raw[section].values())) for name in names}
    return find_problems(raw, read_graph(ROOT))


@pytest.mark.parametrize("name", [3, "v1.5", "on", "a b", "größe", None])
def test_check_refuses_what_dvc_would_leave_out(name: Any):
    (problem,) = problems_of("models", name)
    assert problem.startswith(f"models.{name}: ")


def test_check_refuses_names_that_differ_in_capitals_alone():
    (problem,) = problems_of("models", "Teacher")
    assert problem.startswith("models.teacher: differs from models.Teacher in capitals alone")
    raw = read_yaml(ROOT / "params.yaml")
    raw["dataset_files"] = {"Self-Instruct": {"rows": "rows.jsonl"}}
    (problem,) = find_problems(raw, read_graph(ROOT))
    assert problem.startswith("dataset_files.Self-Instruct: differs from datasets.self-instruct")


def test_add_refuses_the_names_that_check_refuses_and_writes_nothing(tmp_path: Path):
    params = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    params.write_text(text, encoding="utf-8")
    for name, other in {"v1.5": "v1-5", "a: b": "a-b", "no": "round-no"}.items():
        with pytest.raises(MontessoriError, match=f"call it {other}") as caught:
            apply_round(params, name, "montessori-2")
        assert caught.value.next == f"montessori add round {other} --from montessori-2"
    assert params.read_text(encoding="utf-8") == text


def test_add_puts_a_name_of_digits_in_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr("montessori.commands.add.check_params", lambda raw, root: None)
    apply_round(params, "3", "montessori-2")
    raw = read_yaml(params)
    assert "3" in raw["rounds"]
    assert raw["influences"]["3"]["probe"] == "3"
    assert find_problems(raw, read_graph(ROOT)) == []


def test_benchmark_rows_have_names_that_check_accepts():
    rows, _ = read_rows(read_yaml(ROOT / "params.yaml"))
    made = benchmark_rows(rows, "20_newsgroups.v2", 5, ["base"])
    assert list(made) == ["20_newsgroups-v2-5shot-base"]
    assert made["20_newsgroups-v2-5shot-base"]["task"] == "20_newsgroups.v2"
