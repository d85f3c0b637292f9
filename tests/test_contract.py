"""dvc.yaml against what the stage scripts really read, and the checker against broken graphs.

What would break: a stage reads a section or a file that DVC does not know of, and stale results
stay in place.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest

from montessori.graph.load import read_yaml
from montessori.graph.rows import ROWS, TEACHER, Changes, Names
from montessori.graph.stages import CODE, Stage, read_graph
from montessori.pipeline.code import PLUMBING, find_loaded_files
from tests.graph_contract import find_row_problems, find_script_problems, find_stage_problems

ROOT = Path(__file__).parents[1]
GRAPH = read_graph(ROOT)
STAGES = GRAPH.stages
KINDS = [stage.kind for stage in STAGES]
#: Data files of the package that no stage reads, but a command: the module that names each.
OF_COMMANDS = {
    "montessori/proof/papers.yaml": "montessori/proof/papers.py",
    "montessori/trial/defaults.yaml": "montessori/trial/candidate.py",
}
#: Data files of the package that params name, so that dvc tracks them as inputs.
NAMED_IN_PARAMS = {
    "montessori/templates/instruction.jinja": "instruction.template",
    "montessori/templates/list.jinja": "instruction.template",
    "montessori/templates/plain_chat.jinja": "model.fallback_template",
    "montessori/templates/judge/alpaca_eval_clf.txt": "judge.prompts",
    "montessori/templates/judge/judge_prompts.jsonl": "judge.prompts",
    "montessori/templates/elicit/questions.jinja": "elicit.templates",
    "montessori/templates/elicit/rationale.jinja": "elicit.templates",
    "montessori/templates/elicit/reasoning.json": "elicit.templates",
    "montessori/templates/elicit/response.jinja": "elicit.templates",
    "montessori/templates/icl/demonstration.jinja": "icl.templates",
    "montessori/templates/icl/question.jinja": "icl.templates",
}


@pytest.mark.parametrize("stage", STAGES, ids=KINDS)
def test_a_stage_reads_what_the_graph_says(stage: Stage):
    found = find_stage_problems(ROOT, stage)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("stage", STAGES, ids=KINDS)
def test_a_stage_has_a_description_and_no_persistent_output(stage: Stage):
    assert stage.desc
    assert "persist" not in (ROOT / "dvc.yaml").read_text()


@pytest.mark.parametrize("stage", STAGES, ids=KINDS)
def test_a_script_is_short(stage: Stage):
    assert len((ROOT / stage.script).read_text().splitlines()) <= 60


def test_each_script_has_a_stage():
    assert find_script_problems(GRAPH) == []


def test_row_classes_have_the_keys_and_types_that_the_graph_reads():
    assert list(find_row_problems(GRAPH)) == []
    assert set(GRAPH.row_sections()) <= set(read_yaml(ROOT / "params.yaml"))


def test_every_data_file_of_the_package_belongs_to_a_stage():
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "montessori").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "py.typed"
    }
    claimed = set().union(*find_loaded_files(ROOT, [stage.script for stage in STAGES]).values())
    assert data - claimed - set(NAMED_IN_PARAMS) == set(OF_COMMANDS)
    assert all(
        path in find_loaded_files(ROOT, [module])[module] for path, module in OF_COMMANDS.items()
    )


def test_plumbing_is_short_and_there():
    assert len(PLUMBING) <= 8
    assert all((ROOT / path).is_file() for path in PLUMBING)


# ----------------------------------------------------------------------- the checker's own test
TOY_GRAPH = """\
stages:
  toy:
    foreach: ${toys}
    do:
      desc: A toy
      cmd: >-
        python -m stages.toy --name ${key} --rows data/${item.rows} --out data/toy/${key}
        --metrics metrics/toy/${key}.json
      params: [seed, toy]
      deps:
        - data/code/toy
        - data/${item.rows}
      outs:
        - data/toy/${key}
      metrics:
        - metrics/toy/${key}.json: {cache: false}
"""
SCRIPT = """\
from montessori.pipeline.stage import Job, run


def main(job: Job) -> None:
    from montessori.core import work

    job.metrics(work(job.section("toy", dict), job.seed, job.paths.rows, job.paths.out))


if __name__ == "__main__":
    run(main, "rows", "out", "metrics")
"""
FILES = {
    "dvc.yaml": TOY_GRAPH,
    "stages/toy.py": SCRIPT,
    "montessori/core.py": "",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def toy_problems(root: Path) -> list[str]:
    return find_stage_problems(root, read_graph(root).stages[0])


def test_a_right_graph_passes(toy: Path):
    assert toy_problems(toy) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("dvc.yaml", "        - data/code/toy\n", "", "dep data/code/toy is missing"),
        ("dvc.yaml", "data/code/toy", "data/code/toys", "dep data/code/toys is superfluous"),
        ("dvc.yaml", "params: [seed, toy]", "params: [toy]", "read: seed is not in params"),
        ("dvc.yaml", "params: [seed, toy]", "params: [seed, toy, more]", "more is not read"),
        ("dvc.yaml", "        - data/${item.rows}\n", "", "passed in cmd: data/${item.rows}"),
        ("dvc.yaml", "--out data/toy/${key}", "", "out is not in options in cmd"),
        ("dvc.yaml", "      outs:\n        - data/toy/${key}\n", "", "data/toy/${key} is not"),
        ("dvc.yaml", "- data/toy/${key}", "- data/toys/${key}", "data/toys/${key} is not passed"),
        ("stages/toy.py", "job.paths.rows, ", "", "rows is not used"),
        ("stages/toy.py", '"rows", ', "", "used: rows is not in options"),
        ("stages/toy.py", "job.seed, ", "", "params: seed is not read"),
    ],
)
def test_a_broken_graph_is_seen(toy: Path, file: str, old: str, new: str, expected: str):
    text = (toy / file).read_text()
    assert old in text
    (toy / file).write_text(text.replace(old, new))
    assert expected in "\n".join(toy_problems(toy))


def test_a_function_that_is_given_the_job_is_read_too(toy: Path):
    script = SCRIPT.replace('job.section("toy", dict), job.seed, job.paths.rows', 'job, "rows"')
    (toy / "stages/toy.py").write_text(script)
    (toy / "montessori/core.py").write_text(
        "def work(job, name, out):\n"
        "    return job.section('toy', dict), job.seed, getattr(job.paths, name)\n"
    )
    assert toy_problems(toy) == []
    text = (toy / "montessori/core.py").read_text()
    (toy / "montessori/core.py").write_text(text.replace("'toy'", "'other'"))
    assert "read: other is not in params" in "\n".join(toy_problems(toy))


def test_the_stage_of_the_lists_depends_on_all_code():
    """Its deps are the whole folders, so that no change of code goes unseen."""
    (code,) = (stage for stage in STAGES if stage.outs == (CODE,))
    assert set(code.deps) == {"montessori", "stages"}
    assert code.options["out"] == CODE


def test_the_checker_fails_on_a_copy_of_the_real_graph(tmp_path: Path):
    for folder in ("montessori", "stages"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    text = (ROOT / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("        - data/code/models\n", ""))
    models = next(stage for stage in read_graph(tmp_path).stages if stage.kind == "models")
    assert any(
        "data/code/models is missing" in text for text in find_stage_problems(tmp_path, models)
    )


def test_a_script_without_a_stage_is_seen(toy: Path):
    assert find_script_problems(read_graph(toy)) == []
    (toy / "stages/lonely.py").write_text(SCRIPT)
    (text,) = find_script_problems(read_graph(toy))
    assert text.startswith("stages/lonely.py: no stage runs it; add one to dvc.yaml with cmd: ")


@dataclass(frozen=True)
class Untyped:
    """A row of rounds, one of whose references has no type."""

    probe: str
    scores: str
    start: Annotated[str, TEACHER]
    prefs: dict
    teacher_dpo: dict


def test_a_reference_without_a_type_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ROWS, "rounds", Untyped)
    (text,) = find_row_problems(GRAPH)
    assert "class Untyped in montessori/graph/rows.py: key scores names a row" in text
    assert "scores: Annotated[str, Names((FOLDER, ...))]" in text


def test_a_row_class_that_does_not_fit_the_graph_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(ROWS, "exams")
    monkeypatch.setitem(ROWS, "wishes", Untyped)
    found = "\n".join(find_row_problems(GRAPH))
    assert "exams: dvc.yaml goes over its rows, but no class" in found
    assert "wishes: no stage in dvc.yaml has foreach: ${wishes}" in found


@dataclass(frozen=True)
class Odd:
    """A row of shuffles with keys that no stage knows, and a folder that none writes."""

    scores: Annotated[str, Names(("wishes",))]
    mood: str
    loss: Changes = field(default_factory=dict)


def test_a_row_class_with_keys_of_its_own_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ROWS, "shuffles", Odd)
    place = "class Odd in montessori/graph/rows.py"
    assert list(find_row_problems(GRAPH)) == [
        f"{place}: key scores may name wishes/NAME, but no stage writes there",
        f"{place}: key loss replaces settings, but no stage reads section loss and the row",
        f"{place}: no stage in dvc.yaml reads key loss",
        f"{place}: no stage in dvc.yaml reads key mood",
    ]
