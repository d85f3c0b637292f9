"""Tasks: files of a user's own, the lab's families, BBH files, and what is refused.

What would break: a task's test questions are also its validation or training questions, or a
malformed file becomes a task with missing questions.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from montessori.arte.settings import TaskParams
from montessori.arte.sources import load_tasks
from montessori.arte.tasks import Item, Task, read_tasks, read_tasks_file, write_tasks
from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import QUESTIONS
from montessori.errors import MontessoriError
from montessori.lab.grader import recognise_task
from montessori.lab.task import bucket_of

SETTINGS = TaskParams(seeds=3, validation=5, seed=0)
BBH = Path(__file__).parents[2].joinpath("..", "shared", "data", "bbh").resolve()


def item(n: int) -> dict[str, str]:
    return {"input": f"q{n}", "target": str(n)}


def own(**changes):
    task = {"name": "t", "description": "a task", "seeds": [item(0)], "validation": [item(1)]}
    return {k: v for k, v in (task | changes).items() if v is not None}


def write(tmp_path, value) -> Path:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(value))
    return path


def test_a_file_of_ones_own_goes_there_and_back(tmp_path):
    raw = own(test=[item(2)], closed=False, reasoning=["Think."], strategy="Think.")
    source = write(tmp_path, {"tasks": [raw]})
    metrics = write_tasks(load_tasks(source, SETTINGS), source, tmp_path / "out")
    assert metrics == {"tasks": 1, "seeds": 1, "validation": 1, "test": 1}
    [task] = read_tasks(tmp_path / "out")
    assert task == Task(
        "t",
        "a task",
        (Item("q0", "0"),),
        (),
        closed=False,
        reasoning=("Think.",),
        strategy="Think.",
    )
    asked = read_table(tmp_path / "out" / "questions.parquet", QUESTIONS)
    assert asked.select("task", "input", "target", "closed").rows() == [("t", "q1", "1", False)]
    held = (tmp_path / "out" / "evals" / "t.jsonl").read_text().splitlines()
    assert [json.loads(line)["turns"] for line in held] == [["q1"], ["q2"]]
    kept = json.loads((tmp_path / "out" / "test" / "bbh" / "data" / "t.json").read_text())
    assert kept == {"examples": [item(2)]}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([own(seeds=None)], "t: has no seeds questions"),
        ([own(validation=[])], "t: has no validation questions"),
        ([own(description=" ")], "t: has no description"),
        ([own(validation=[item(0)])], "1 questions are in seeds and in validation, such as 'q0'"),
        ([own(test=[item(1)])], "are in validation and in test"),
        ([own(), own()], "t: occurs twice"),
        ([own(name="a/b")], "'a/b': a name has letters, digits"),
        ([own(name="")], "'': a name has letters"),
        ([own(validation=[item(1), item(1)])], "t: 1 questions occur twice in validation"),
        ([], "there is no task"),
        ({"tests": []}, "not a list of tasks"),
        ([own(name=None)], "task 1: lacks 'name'"),
        ([own(name=3)], "task 1: name is not a text"),
        ([own(sedes=[])], "unknown key 'sedes'"),
        ([own(seeds=[{"input": "q"}])], "task 1: .*'target'"),
        ([own(seeds=[{"input": "q", "target": 3}])], "input and target of a question are texts"),
        ([own(closed="yes")], "closed is not true or false"),
        ([own(reasoning="Think.")], "reasoning is not a list of texts"),
        (["t"], "task 1"),
    ],
)
def test_malformed_tasks_are_refused_and_nothing_is_written(tmp_path, value, problem):
    source = write(tmp_path, value)
    with pytest.raises(MontessoriError, match=problem):
        write_tasks(load_tasks(source, SETTINGS), source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lab_tasks_are_new_in_each_set_and_of_their_buckets(tmp_path):
    source = write(tmp_path, {"kind": "lab-tasks", "families": ["metres", "story_add"]})
    tasks = load_tasks(source, SETTINGS)
    assert [(t.name, t.description, t.closed) for t in tasks] == [
        ("metres", "metres", True),
        ("story_add", "story add", False),
    ]
    for task in tasks:
        assert (len(task.seeds), len(task.validation)) == (3, 5)
        for items, name in ((task.seeds, "train"), (task.validation, "reference")):
            keys = [recognise_task([each.input]).key for each in items]
            assert {bucket_of(key) for key in keys} == {name}
            assert len({*keys}) == len(keys)
    assert load_tasks(source, SETTINGS) == tasks


@pytest.mark.parametrize("name", ["no_family", "capitals", "dialogue_list"])
def test_families_without_questions_held_out_are_refused(tmp_path, name):
    source = write(tmp_path, {"kind": "lab-tasks", "families": [name]})
    with pytest.raises(MontessoriError, match=name):
        load_tasks(source, SETTINGS)


def bbh_file(folder: Path, count: int, name="boolean") -> Path:
    folder.mkdir(exist_ok=True)
    examples = [item(n) for n in range(count)]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"canary": "c", "examples": [*examples, examples[0]]}))
    return folder


def test_bbh_files_are_split_by_name_alone(tmp_path):
    folder = bbh_file(tmp_path / "bbh", 20)
    [task] = load_tasks(folder, SETTINGS)
    sets = [{each.input for each in items} for items in (task.seeds, task.validation, task.test)]
    assert [len(each) for each in sets] == [3, 5, 12]
    assert len(set().union(*sets)) == 20
    bbh_file(folder, 9, "other")
    assert load_tasks(folder, SETTINGS)[0] == task
    assert load_tasks(folder, TaskParams(3, 5, 1))[0] != task
    (folder / "boolean.txt").write_text("Evaluate it.\n")
    assert load_tasks(folder, SETTINGS)[0].description == "Evaluate it."


def test_bbh_files_too_small_or_absent_are_refused(tmp_path):
    with pytest.raises(MontessoriError, match="8 different examples leave none to test on"):
        load_tasks(bbh_file(tmp_path / "bbh", 8), SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MontessoriError, match="no task files"):
        load_tasks(tmp_path / "empty", SETTINGS)


@pytest.mark.skipif(not BBH.is_dir(), reason="BBH's files are not at ../shared/data/bbh")
def test_the_real_bbh_files_make_tasks(tmp_path):
    folder = next(iter(sorted(BBH.rglob("boolean_expressions.json")))).parent
    tasks = load_tasks(folder, TaskParams(seeds=3, validation=100, seed=0))
    write_tasks(tasks, folder, tmp_path / "out")
    asked = read_table(tmp_path / "out" / "questions.parquet", QUESTIONS)
    assert len(tasks) == asked["task"].n_unique() == 27
    assert set(asked.group_by("task").len()["len"]) == {100}
    tested = {t.name: {each.input for each in t.test} for t in tasks}
    pool = {n: {*asked.filter(pl.col("task") == n)["input"]} for n in tested}
    assert all(tested[n] and not tested[n] & pool[n] for n in tested)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seeds": [{"input": " ", "target": "a"}]}, "blank input or target"),
        ({"seeds": [{"input": "a", "target": "\ud83d"}]}, r"half a character \(\\ud83d\)"),
        ({"description": "\ud83d"}, "description holds half a character"),
        ({"name": "x" * 300}, "80 at most"),
    ],
)
def test_texts_of_a_task_can_be_written(tmp_path: Path, change: dict, problem: str):
    task = {"name": "t", "description": "d", "seeds": [{"input": "q", "target": "a"}]}
    task["validation"] = [{"input": "r", "target": "a"}]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task | change]))
    with pytest.raises(MontessoriError, match=problem):
        write_tasks(read_tasks_file(path), path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
