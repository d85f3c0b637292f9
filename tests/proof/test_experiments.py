"""Which experiments there are, and when two count as the same.

What would break: the proof skips an experiment, or counts a record of other code or params as one
of this project.
"""

import shutil
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.proof.experiments import Experiment, parse_seeds, plan_experiments

from . import toy

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.write(tmp_path)


def names(root: Path) -> list[str]:
    return [
        entry.name
        for entry in plan_experiments(root, "controls", [0, 1], ["student", "student-2"], 1)
    ]


def test_seeds_are_numbers_and_ranges() -> None:
    assert parse_seeds("0-2,7, 9-9,1") == [0, 1, 2, 7, 9]


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "-1", "1-", "1.5", "0-2-4", "1,,2", "0-99999999999", "9" * 5000]
)
def test_bad_seeds_are_an_error(text: str) -> None:
    with pytest.raises(MontessoriError, match="cannot read the seeds"):
        parse_seeds(text)


def test_all_seeds_of_the_first_student_come_first_and_have_the_controls(root: Path) -> None:
    entries = plan_experiments(root, "controls", [3, 4], ["student", "student-2"], 1)
    assert [(entry.student, entry.seed) for entry in entries] == [
        ("student", 3),
        ("student", 4),
        ("student-2", 3),
        ("student-2", 4),
    ]
    assert "placebo" in entries[0].params["runs"]
    assert "placebo" not in entries[2].params["runs"]
    assert "++runs.placebo={model:students/placebo,against:self-instruct}" in entries[0].overrides
    assert "models.student.path=data/micro/b" in entries[2].overrides
    assert entries[2].params["models"]["student"]["path"] == "data/micro/b"


def test_a_profile_takes_rows_out_and_names_models_of_its_own(root: Path) -> None:
    """A profile for a real model has one round less than the lab, and other students."""
    (root / "profiles/real.yaml").write_text(
        "runs: {montessori-1: null}\nmodels: {student: {path: data/micro/real}}\n"
    )
    (entry,) = plan_experiments(root, "real", [0], ["student"], 1)
    assert "montessori-1" in read_yaml(root / "params.yaml")["runs"]
    assert "montessori-1" not in entry.params["runs"]
    assert "~runs.montessori-1" in entry.overrides
    assert entry.params["models"]["student"]["path"] == "data/micro/real"


def test_rows_with_settings_of_their_own_reach_dvc_whole(root: Path) -> None:
    (root / "profiles/more.yaml").write_text(
        "include: [controls]\nseed: 9\nmachine: {threads: 3}\n"
        "datasets: {x: {teacher: models/teacher, synth: {rows: 10, flag: true, list: [a b]}}}\n"
    )
    (entry,) = plan_experiments(root, "more", [3], ["student"], 1)
    option = '++datasets.x={teacher:models/teacher,synth:{rows:10,flag:true,list:["a b"]}}'
    assert option in entry.overrides
    assert "++runs.placebo={model:students/placebo,against:self-instruct}" in entry.overrides
    assert "++machine.threads=3" in entry.overrides
    assert entry.params["datasets"]["x"]["synth"] == {"rows": 10, "flag": True, "list": ["a b"]}
    assert "placebo" in entry.params["runs"]
    assert entry.params["seed"] == 3


@pytest.mark.parametrize("profile", ["controls", "baselines", "signals", "budgets", "ablations"])
def test_dvc_makes_the_params_of_the_overrides(profile: str, tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    (entry,) = plan_experiments(ROOT, profile, [3], ["student"], 1)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(tmp_path / "params.yaml", list(entry.overrides))
    made = read_yaml(tmp_path / "params.yaml")
    assert made.pop("machine")["threads"] == 1
    assert made == {key: value for key, value in entry.params.items() if key != "machine"}
    assert made["seed"] == 3


def test_unknown_profile_is_an_error(root: Path) -> None:
    with pytest.raises(MontessoriError, match="no profile 'nothing'"):
        plan_experiments(root, "nothing", [0], ["student"], 1)


def test_unknown_student_is_an_error(root: Path) -> None:
    with pytest.raises(MontessoriError, match="student-9"):
        plan_experiments(root, "controls", [0], ["student-9"], 1)


def test_names_are_stable_and_distinct(root: Path) -> None:
    assert names(root) == names(root)
    assert len(set(names(root))) == 4


CHANGES = {
    "a setting": ("params.yaml", "seed: 0", "learning_rate: 1\nseed: 0", True),
    "code that a stage names": ("stages/toy.py", "40.0", "41.0", True),
    "a base model": ("data/micro/a/x", "a", "c", True),
    "the graph": ("dvc.yaml", "params: [seed]", "params: [seed, machine]", True),
    "a stage that only looks": (
        "dvc.yaml",
        "stages:\n",
        "stages:\n  outputs: {cmd: python -m stages.x}\n",
        False,
    ),
    "another stage": (
        "dvc.yaml",
        "stages:\n",
        "stages:\n  inputs: {cmd: python -m stages.x}\n",
        True,
    ),
    "a control": ("profiles/controls.yaml", "placebo:", "nonsense:", True),
    "machine settings": ("params.yaml", "threads: 0", "threads: 2", False),
    "the report's page": ("README.md", "before", "changed", False),
}


@pytest.mark.parametrize(("path", "old", "new", "matters"), CHANGES.values(), ids=CHANGES)
def test_name_follows_all_that_decides_the_metrics(
    root: Path, path: str, old: str, new: str, matters: bool
) -> None:
    before = names(root)[0]
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))
    assert (names(root)[0] != before) == matters


def test_name_follows_the_code_that_a_stage_loads_by_its_list(root: Path) -> None:
    (root / "montessori").mkdir()
    (root / "montessori/core.py").write_text("WORK = 1\n")
    (root / "montessori/more.py").write_text("MORE = 1\n")
    graph = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(graph.replace("- stages/toy.py", "- data/code/toy"))
    script = (root / "stages/toy.py").read_text()
    (root / "stages/toy.py").write_text("import montessori.core\n" + script)
    before = names(root)
    (root / "montessori/more.py").write_text("MORE = 2\n")  # no stage loads it
    assert names(root) == before
    (root / "montessori/core.py").write_text("WORK = 2\n")
    assert not set(names(root)) & set(before)


def test_plan_of_this_project_is_planned() -> None:
    root = Path(__file__).parents[2]
    (entry,) = plan_experiments(root, "controls", [0], ["student"], 1)
    assert isinstance(entry, Experiment)
    for run, row in entry.params["runs"].items():
        place, _, student = row["model"].partition("/")
        assert place == "models" or student in entry.params["students"], run
