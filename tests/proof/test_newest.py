"""Which record of a run is shown where several profiles have one.

What would break: a page shows another figure than the newest one of a run, or two figures of the
same run.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from montessori.proof import pages
from montessori.proof.at_hand import define_runs, read_records
from montessori.proof.experiments import Project, plan_experiments
from montessori.proof.headline import headline_block
from montessori.proof.newest import (
    choose_newest,
    older_note,
    own_figures,
    provenance_of,
    recorded_text,
    records_of,
)

from . import toy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shipped() -> list[Any]:
    return read_records(ROOT)


def shown_figures(records: list[Any]) -> dict[tuple[str, str, int], dict[str, float]]:
    """The mean of each student, run and seed, by the profile that shows it."""
    found: dict[tuple[str, str, int], dict[str, float]] = {}
    for profile, proof in pages.summarise_profiles(records).items():
        for name, student in proof["students"].items():
            for run, values in student["means"].items():
                for seed, value in zip(student["seeds"], values, strict=True):
                    found.setdefault((name, run, seed), {})[profile] = value
    return found


def differing(records: list[Any]) -> list[str]:
    """Runs that profiles show with different figures, as a person has to be told."""
    return [
        f"{student} {run} seed {seed}: {figures}"
        for (student, run, seed), figures in shown_figures(records).items()
        if len(set(figures.values())) > 1
    ]


def test_no_two_profiles_show_different_figures_of_the_same_run(shipped: list[Any]) -> None:
    assert not differing(shipped), "all figures must come from newest_of"


def test_without_the_choice_the_shipped_records_differ(
    shipped: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records do hold two figures of some runs, so that the test above can fail."""
    files = [json.loads(path.read_text()) for path in (ROOT / "metrics/proof").glob("*/*.json")]
    figures: dict[tuple[str, int, str], set[float]] = {}
    for record in files:
        for run, metrics in record["metrics"]["eval"].items():
            key = (record["student"], record["seed"], run)
            figures.setdefault(key, set()).add(metrics["mean"])
    if all(len(values) == 1 for values in figures.values()):
        pytest.skip("all profiles were recorded by the same code")
    monkeypatch.setattr(pages, "choose_newest", lambda records: own_figures)
    assert differing(shipped)


def test_stored_proofs_and_pages_are_those_of_the_records(shipped: list[Any]) -> None:
    """All but the mark of older code, which changes with any change of code."""
    proofs = pages.summarise_profiles(shipped)
    for profile, proof in proofs.items():
        stored = json.loads((ROOT / f"metrics/proof/{profile}.json").read_text())
        assert without_marks(stored) == without_marks(json.loads(json.dumps(proof))), profile
    blocks = pages.make_blocks(ROOT, proofs, shipped)
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for place in pages.PLACE.finditer(page.read_text()):
            if place["name"] not in blocks:
                continue
            made = blocks[place["name"]](page).strip()
            assert unmarked(place["old"].strip()) == unmarked(made), (
                f"{page.name}, {place['name']}: next: montessori proof --pages"
            )


def without_marks(proof: Any) -> Any:
    for student in proof["students"].values():
        for facts in student["recorded"].values():
            facts["older"] = 0
    return proof


def unmarked(text: str) -> str:
    lines = [line for line in text.splitlines() if "recorded by older code" not in line]
    return "\n".join(lines).replace(" by older code", "").strip()


# ----------------------------------------------------------------------- which record is shown
def record(profile: str, recorded: str, mean: float, **other: Any) -> dict[str, Any]:
    return {
        "profile": profile,
        "student": "student",
        "seed": 0,
        "order": ["m1"],
        "recorded": recorded,
        "older": True,
        "definitions": {"m1": "same"},
        "metrics": {"eval": {"m1": {"mean": mean}}},
        **other,
    }


def shown(records: list[dict[str, Any]]) -> list[float]:
    choose = choose_newest(records)
    return [choose(one, "m1")["metrics"]["eval"]["m1"]["mean"] for one in records]


def test_the_newest_record_is_shown_whatever_the_order() -> None:
    records = [record("a", "2026-11-21T09:00:00Z", 1.0), record("b", "2026-11-22T08:00:00Z", 2.0)]
    assert shown(records) == shown(records[::-1]) == [2.0, 2.0]
    assert shown([*records, record("c", "", 3.0)]) == [2.0] * 3  # a record without a date is oldest


def test_a_record_of_the_code_at_hand_is_newer_than_any_other() -> None:
    records = [
        record("a", "2026-11-21T09:00:00Z", 1.0, older=False),
        record("b", "2026-11-22T08:00:00Z", 2.0),
    ]
    assert shown(records) == [1.0, 1.0]


@pytest.mark.parametrize(
    "other", [{"definitions": {"m1": "another"}}, {"seed": 1}, {"student": "student-2"}]
)
def test_other_definitions_seeds_and_students_are_other_runs(other: dict[str, Any]) -> None:
    records = [record("a", "2026-11-21T", 1.0), record("b", "2026-11-22T", 2.0, **other)]
    assert shown(records) == [1.0, 2.0]


def test_what_only_an_older_record_measured_is_kept() -> None:
    older = record("exams", "2026-11-21T", 1.0)
    older["metrics"]["eval"]["m1"]["exam lab"] = 60.0
    choose = choose_newest([older, record("a", "2026-11-22T", 2.0)])
    assert choose(older, "m1")["metrics"]["eval"] == {"m1": {"mean": 2.0, "exam lab": 60.0}}
    assert older["metrics"]["eval"]["m1"]["mean"] == 1.0  # the record itself is as it was


def test_seeds_of_the_code_at_hand_are_not_mixed_with_older_ones() -> None:
    old = [record("a", "2026-11-21T", 1.0, seed=seed) for seed in range(3)]
    assert records_of(old, "a") == old
    new = record("a", "2026-12-01T", 2.0, older=False)
    second = record("a", "2026-11-21T", 3.0, student="student-2")
    assert records_of([new, *old[1:], second], "a") == [new, second]
    assert records_of(old, "b") == []


def test_marks_say_when_and_how_many() -> None:
    old = record("a", "2026-11-22T10:10:23Z", 1.0)
    new = record("a", "2026-12-01T10:10:23Z", 1.0, older=False)
    assert recorded_text(provenance_of([old, old])) == "2026-11-22 by older code"
    assert recorded_text(provenance_of([new])) == "2026-12-01"
    both = provenance_of([old, new])
    assert recorded_text(both) == "2026-11-22 to 2026-12-01, 1 of 2 by older code"
    assert recorded_text(provenance_of([record("a", "", 1.0)])) == "undated by older code"
    assert older_note([both]).startswith("**Some of these figures were recorded by older code**")
    assert older_note([provenance_of([old])]).startswith("**All of these figures")
    assert older_note([provenance_of([new])]) == older_note([]) == ""


# --------------------------------------------------------------------- against the code at hand
@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The toy project with a current record of each student, made up."""
    root = toy.write(tmp_path)
    for entry in plan_experiments(root, "controls", [0], ["student", "student-2"], 1):
        path = root / f"metrics/proof/controls/{entry.student}-0.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = record("", "2026-12-01T", 1.0, student=entry.student, digest=entry.digest)
        made["order"] = list(entry.params["runs"])
        for key in ("profile", "older", "definitions"):
            del made[key]
        path.write_text(json.dumps(made))
    return root


def older(root: Path) -> list[bool]:
    return [one["older"] for one in read_records(root)]


def test_a_record_is_older_when_code_params_or_its_digest_are_others(project: Path) -> None:
    assert older(project) == [False, False]
    script = project / "stages/toy.py"
    script.write_text(script.read_text() + "# changed\n")
    assert older(project) == [True, True]
    toy.write(project)
    assert older(project) == [False, False]
    (project / "params.yaml").write_text(toy.PARAMS + "more: 1\n")
    assert older(project) == [True, True]
    toy.write(project)
    path = project / "metrics/proof/controls/student-0.json"
    made = json.loads(path.read_text())
    del made["digest"]
    path.write_text(json.dumps(made))
    assert older(project) == [True, False]


def test_records_of_a_profile_or_a_student_that_is_gone_are_older_and_stay(project: Path) -> None:
    (project / "profiles/controls.yaml").rename(project / "profiles/new.yaml")
    assert older(project) == [True, True]
    assert read_records(project)[0]["definitions"]["placebo"].startswith("controls")
    (project / "profiles/new.yaml").rename(project / "profiles/controls.yaml")
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("student-2:", "student-3:"))
    assert older(project) == [True, True]
    shutil.rmtree(project / "metrics")
    assert read_records(project) == []


def test_a_run_has_one_definition_until_what_it_follows_from_differs() -> None:
    project = Project(ROOT)
    params = {
        name: project.merge_params(project.read_profile(name), "student", 0)
        for name in ("controls", "signals", "budgets")
    }

    def of(name: str, run: str, changed: dict[str, Any] | None = None) -> str:
        return define_runs(changed or params[name], project.graph, [run], name)[run]

    assert of("controls", "placebo") == of("signals", "placebo")
    assert of("controls", "montessori-2") == of("budgets", "montessori-2")
    assert of("controls", "montessori-1") != of("controls", "montessori-2")
    other = json.loads(json.dumps(params["signals"]))
    other["rounds"]["placebo"]["start"] = "teachers/montessori-1"
    assert of("signals", "placebo", other) != of("controls", "placebo")
    assert of("signals", "montessori-1", other) == of("controls", "montessori-1")
    other["teacher_dpo"]["beta"] = 9.0  # a setting is behind every run
    assert of("signals", "montessori-1", other) != of("controls", "montessori-1")
    assert of("signals", "nothing") != of("controls", "nothing")  # not known: not the same


def test_the_headline_has_each_run_once_for_each_student(shipped: list[Any]) -> None:
    lines = [line for line in headline_block(shipped).splitlines() if line.startswith("| student")]
    rows = [tuple(line.split(" | ")[:2]) for line in lines[1:]]
    assert len(rows) == len(set(rows))
    assert ("| student", "`montessori-1`") in rows
    assert ("| student-2", "`montessori-2`") in rows
    assert not any("`self-instruct-4300`" in row and "-2" in row[0] for row in rows)
