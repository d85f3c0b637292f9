"""dvc.yaml against what the stage scripts really read, and the checker against broken graphs."""

import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from montessori.graph import ROWS as ROW_CLASSES
from montessori.params import load
from tests import graph_deps
from tests.graph_contract import PLUMBING, Stage, closure, problems, read_graph

ROOT = Path(__file__).parents[1]
STAGES = read_graph(ROOT)
NAMES = [stage.name for stage in STAGES]
#: Data files of the package that no stage reads, but a command: the module that names each.
OF_COMMANDS = {"montessori/proof/papers.yaml": "montessori/proof/papers.py"}
#: Data files of the package that params name, so that dvc tracks them as inputs.
NAMED_IN_PARAMS = {
    "montessori/templates/instruction.jinja": "instruction.template",
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


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_a_stage_reads_what_the_graph_says(stage: Stage):
    found = problems(ROOT, stage)
    assert not found, "\n".join([*found, "see: python -m tests.graph_deps"])


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_a_stage_has_a_description_and_no_persistent_output(stage: Stage):
    assert stage.entry.get("desc")
    assert "persist" not in str(stage.entry)


@pytest.mark.parametrize("stage", STAGES, ids=NAMES)
def test_a_script_is_short(stage: Stage):
    assert len((ROOT / stage.script).read_text().splitlines()) <= 60


def test_foreach_rows_have_the_keys_that_templates_name():
    graph, params = load(ROOT / "dvc.yaml")["stages"], load(ROOT / "params.yaml")
    used: dict[str, set[str]] = {}
    for entry in graph.values():
        if "foreach" in entry:
            section = entry["foreach"].strip("${}")
            keys = re.findall(r"\$\{item\.(\w+)\}", str(entry["do"]))
            used.setdefault(section, set()).update(keys)
            if f"{section}.${{key}}" in entry["do"].get("params", []):  # job.row reads them all
                used[section] |= {key.name for key in fields(ROW_CLASSES[section])}
    known = {section: {key.name for key in fields(ROW_CLASSES[section])} for section in used}
    assert used == known
    assert set(used) <= set(params)


def test_every_data_file_of_the_package_belongs_to_a_stage():
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "montessori").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name != "py.typed"
    }
    claimed = set().union(*(closure(ROOT, stage.script) for stage in STAGES))
    assert data - claimed - set(NAMED_IN_PARAMS) == set(OF_COMMANDS)
    assert all(path in closure(ROOT, module) for path, module in OF_COMMANDS.items())


def test_plumbing_is_short_and_there():
    assert len(PLUMBING) <= 6
    assert all((ROOT / path).is_file() for path in PLUMBING)


# ----------------------------------------------------------------------- the checker's own test
GRAPH = """\
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
        - stages/toy.py
        - montessori/core.py
        - montessori/deep/inner.py
        - montessori/deep/table.json
        - data/${item.rows}
      outs:
        - data/toy/${key}
      metrics:
        - metrics/toy/${key}.json: {cache: false}
"""
SCRIPT = """\
from montessori.stage import Job, run


def main(job: Job) -> None:
    from montessori.core import work

    job.metrics(work(job.section("toy", dict), job.seed, job.paths.rows, job.paths.out))


if __name__ == "__main__":
    run(main, "rows", "out", "metrics")
"""
FILES = {
    "dvc.yaml": GRAPH,
    "stages/toy.py": SCRIPT,
    "montessori/stage.py": "import montessori.params\n",
    "montessori/params.py": "",
    "montessori/__init__.py": '__version__ = "1"\n',
    "montessori/core.py": "def work():\n    from .deep import inner\n",
    "montessori/deep/__init__.py": '"""Deep."""\n',
    "montessori/deep/inner.py": 'NAME = "table.json"\n',
    "montessori/deep/table.json": "{}",
    "montessori/deep/unused.py": "",
    "montessori/other.py": "",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def toy_problems(root: Path) -> list[str]:
    return problems(root, read_graph(root)[0])


def test_a_right_graph_passes(toy: Path):
    assert toy_problems(toy) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("dvc.yaml", "        - montessori/core.py\n", "", "dep montessori/core.py is missing"),
        ("dvc.yaml", "        - montessori/deep/inner.py\n", "", "deep/inner.py is missing"),
        ("dvc.yaml", "        - montessori/deep/table.json\n", "", "table.json is missing"),
        ("dvc.yaml", "        - stages/toy.py\n", "", "dep stages/toy.py is missing"),
        (
            "dvc.yaml",
            "- montessori/core.py",
            "- montessori/core.py\n        - montessori/other.py",
            "dep montessori/other.py is superfluous",
        ),
        ("dvc.yaml", "params: [seed, toy]", "params: [toy]", "read: seed is not in params"),
        ("dvc.yaml", "params: [seed, toy]", "params: [seed, toy, more]", "more is not read"),
        ("dvc.yaml", "        - data/${item.rows}\n", "", "passed in cmd: data/${item.rows}"),
        ("dvc.yaml", "--out data/toy/${key}", "", "out is not in options in cmd"),
        ("dvc.yaml", "      outs:\n        - data/toy/${key}\n", "", "data/toy/${key} is not"),
        ("dvc.yaml", "- data/toy/${key}", "- data/toys/${key}", "data/toys/${key} is not passed"),
        ("stages/toy.py", "job.paths.rows, ", "", "rows is not used"),
        ("stages/toy.py", '"rows", ', "", "used: rows is not in options"),
        ("stages/toy.py", "job.seed, ", "", "params: seed is not read"),
        (
            "montessori/core.py",
            "    from",
            "    import montessori.other\n    from",
            "other.py is m",
        ),
    ],
)
def test_a_broken_graph_is_seen(toy: Path, file: str, old: str, new: str, expected: str):
    text = (toy / file).read_text()
    assert old in text
    (toy / file).write_text(text.replace(old, new))
    assert expected in "\n".join(toy_problems(toy))


def test_an_import_by_name_is_refused(toy: Path):
    (toy / "montessori/core.py").write_text("import importlib\nimportlib.import_module('x')\n")
    with pytest.raises(AssertionError, match="core.py:2"):
        toy_problems(toy)


def test_type_checking_imports_do_not_count(toy: Path):
    text = "if TYPE_CHECKING:\n    import montessori.other\n" + FILES["montessori/core.py"]
    (toy / "montessori/core.py").write_text(text)
    assert toy_problems(toy) == []


def test_an_init_with_code_is_a_dep(toy: Path):
    (toy / "montessori/deep/__init__.py").write_text("from montessori import other\n")
    found = "\n".join(toy_problems(toy))
    assert "dep montessori/deep/__init__.py is missing" in found
    assert "dep montessori/other.py is missing" in found


def test_a_folder_that_is_loaded_whole_is_one_dep(toy: Path):
    (toy / "montessori/deep/unused.py").unlink()
    assert "dep montessori/deep is missing" in "\n".join(toy_problems(toy))
    (toy / "dvc.yaml").write_text(graph_deps.written(toy))
    assert toy_problems(toy) == []
    files = [line.strip() for line in (toy / "dvc.yaml").read_text().splitlines() if "deep" in line]
    assert files == ["- montessori/deep"]
    (toy / "montessori/deep/more.py").write_text("")
    found = "\n".join(toy_problems(toy))
    assert "dep montessori/deep is superfluous" in found
    assert "dep montessori/deep/inner.py is missing" in found


def test_a_function_that_is_given_the_job_is_read_too(toy: Path):
    script = SCRIPT.replace('job.section("toy", dict), job.seed, job.paths.rows', 'job, "rows"')
    (toy / "stages/toy.py").write_text(script)
    (toy / "montessori/core.py").write_text(
        "def work(job, name, out):\n"
        "    from .deep import inner\n"
        "    return job.section('toy', dict), job.seed, getattr(job.paths, name)\n"
    )
    assert toy_problems(toy) == []
    text = (toy / "montessori/core.py").read_text()
    (toy / "montessori/core.py").write_text(text.replace("'toy'", "'other'"))
    assert "read: other is not in params" in "\n".join(toy_problems(toy))


def test_the_writer_mends_the_deps(toy: Path):
    lines = GRAPH.replace("        - montessori/core.py\n", "        - montessori/other.py\n")
    (toy / "dvc.yaml").write_text(lines)
    assert "  + montessori/core.py\n  - montessori/other.py" in graph_deps.report(toy)
    (toy / "dvc.yaml").write_text(graph_deps.written(toy))
    assert (toy / "dvc.yaml").read_text() == GRAPH


def test_the_writer_mends_each_of_two_stages_with_one_script(toy: Path):
    second = GRAPH.replace("stages:\n", "").replace("  toy:\n", "  twin:\n")
    assert "  twin:\n" in second
    (toy / "dvc.yaml").write_text((GRAPH + second).replace("        - montessori/core.py\n", ""))
    (toy / "dvc.yaml").write_text(graph_deps.written(toy))
    assert (toy / "dvc.yaml").read_text() == GRAPH + second


def test_the_checker_fails_on_a_copy_of_the_real_graph(tmp_path: Path):
    for folder in ("montessori", "stages"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    text = (ROOT / "dvc.yaml").read_text()
    (tmp_path / "dvc.yaml").write_text(text.replace("        - stages/models.py\n", ""))
    models = next(stage for stage in read_graph(tmp_path) if stage.name == "models")
    assert any("stages/models.py is missing" in text for text in problems(tmp_path, models))
