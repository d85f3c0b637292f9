"""The seam between the core and the lab: the core works without the lab's folder.

What would break: a module of the core that imports the lab by itself, so that whoever has rows of
their own could not take the lab out, and a second world would need changes all over the package.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.lab.families import FAMILIES
from montessori.lab.grader import grade_responses, recognise_task
from montessori.worlds import (
    Task,
    Turn,
    content_of,
    find_task,
    grade_row,
    open_world,
    world_of,
)

ROOT = Path(__file__).resolve().parents[1]
SUM = ("Work out 3 + 4.",)

#: Imports every module of the package that has no lab, then asks the seam and prepares own rows.
WITHOUT_LAB = """
import importlib, pkgutil, sys
from pathlib import Path

# An editable installation would find the lab of the checkout.
sys.meta_path[:] = [each for each in sys.meta_path if "editable" not in str(each)]
import montessori
from montessori.errors import MontessoriError
from montessori.worlds import find_task, grade_row, open_world

assert montessori.__path__[0].startswith(sys.argv[1]), montessori.__path__
names = [each.name for each in pkgutil.walk_packages(montessori.__path__, "montessori.")]
assert len(names) > 150 and not [name for name in names if name.startswith("montessori.lab")]
for name in names:
    if "vllm" not in name and not name.endswith("__main__"):
        importlib.import_module(name)
assert not [name for name in sys.modules if name.startswith("montessori.lab")]

assert find_task(["Work out 3 + 4."]) is None
assert grade_row(["Work out 3 + 4."], ["7"]) is None
try:
    open_world("lab", "recipe.json")
except MontessoriError as error:
    print(error)

from montessori.sources.seed import prepare_sources
folder = Path(sys.argv[1])
row = '{{"instruction": "Name a {0}.", "response": "{0}"}}\\n'
sources = {}
for name in ("seeds", "reference", "other_reference"):
    sources[name] = folder / f"{name}.jsonl"
    sources[name].write_text(row.format(name))
(folder / "own.jsonl").write_text('{"instruction": "Name a bird.", "response": "Wren"}\\n')
outs = {name: folder / "out" / name for name in sources}
print(prepare_sources(sources, folder / "own.jsonl", outs, folder / "evals", 8)["seeds"]["rows"])
"""


def test_every_module_of_the_core_and_the_seed_stage_work_without_the_lab(tmp_path: Path) -> None:
    hidden = shutil.ignore_patterns("lab", "lab_models")
    shutil.copytree(ROOT / "montessori", tmp_path / "montessori", ignore=hidden)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LAB, str(tmp_path)],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the world 'lab' is not installed" in done.stdout
    assert "recipe.json" in done.stdout
    assert done.stdout.splitlines()[-1] == "1"


def test_a_task_of_the_lab_is_known_by_its_skill_and_key() -> None:
    task = find_task(SUM)
    expected = recognise_task(SUM)
    assert task is not None
    assert expected is not None
    assert (task.family, task.key) == (expected.family, expected.key)
    assert task.skill == "arithmetic"
    assert [turn.answer for turn in task.turns] == ["7"]


def test_text_that_is_no_task_has_neither_task_nor_grade() -> None:
    assert find_task(["Write a poem."]) is None
    assert grade_row(["Write a poem."], ["no"]) is None


@pytest.mark.parametrize("response", ["7", "8", "seven", ""])
def test_a_row_gets_the_lab_s_grade(response: str) -> None:
    task = recognise_task(SUM)
    assert task is not None
    expected = grade_responses(task, [response])
    given = grade_row(SUM, [response])
    assert given is not None
    assert (given.correct, given.quality) == (expected.correct, expected.quality)


def test_every_family_draws_tasks_with_its_skill_and_grades_its_own_answers_right() -> None:
    lab = open_world("lab", "")
    assert lab.families().keys() == FAMILIES.keys()
    for name, family in FAMILIES.items():
        task = lab.draw_task(name, "train", random.Random(0))
        assert (task.family, task.skill) == (name, family.subject)
        assert lab.grade_responses(task, [turn.response for turn in task.turns]).quality == 1
        assert lab.families()[name].turns == ("one" if len(task.turns) == 1 else "several")
        assert world_of(name) is lab


def test_turns_are_graded_in_their_order_and_missing_responses_are_wrong() -> None:
    task = Task("sums", "", "k", (Turn("2 + 2?", "4", "4"), Turn("3 + 3?", "6", "6")))
    assert open_world("lab", "").grade_responses(task, ["4"]).correct == (True, False)


def test_content_is_the_key_without_the_form_it_is_asked_in() -> None:
    assert content_of("choice_units/units|3") == content_of("units|3") == "units|3"


def test_unknown_worlds_are_named_with_the_recipe_that_wants_them() -> None:
    with pytest.raises(MontessoriError) as error:
        open_world("moon", "data/recipe.json")
    assert "data/recipe.json" in str(error.value)
    assert "one of: lab" in str(error.value)
    assert world_of("no such family") is None
