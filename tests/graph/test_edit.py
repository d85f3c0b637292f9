"""Changes to params.yaml: as text, as a round, as a profile, by command.

What would break: `montessori add` or `profile` loses a comment or a row of a file that a person
wrote, or writes a file that the check refuses.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from montessori import cli
from montessori.commands.add import apply_benchmark, apply_profile, apply_round
from montessori.errors import MontessoriError
from montessori.graph.edit import format_flow, merge_changes, show_difference
from montessori.graph.load import read_yaml
from montessori.graph.profiles import read_profile

ROOT = Path(__file__).parents[2]
TEXT = """\
# A head.
rows:                 # rows
  one: {a: x, b: y}   # the first

none: {}              # nothing yet

stage:                # settings
  rate: 1.0e-3        # a rate
  list: [a]           # a list
  nested:
    - p
    - q
last: 1"""


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        ({"stage": {"rate": 5e-6}}, "rate: 1.0e-3        #", "rate: 5.0e-06       #"),
        ({"stage": {"list": ["go to", "map"]}}, "[a]           #", '["go to", map]  #'),
        ({"stage": {"nested": []}}, "\n    - p\n    - q", "\n    []"),
        ({"rows": {"one": {"b": "zz"}}}, "{a: x, b: y}   #", "{a: x, b: zz}   #"),
        ({"rows": {"one": {"c": 1}}}, "{a: x, b: y}   #", "{a: x, b: y, c: 1}  #"),
        ({"rows": {"two": {"a": "u"}}}, "# the first\n", "# the first\n  two: {a: u}\n"),
        (
            {"none": {"k": {"a": 1}}},
            "none: {}              # nothing yet",
            "none:                 # nothing yet\n  k: {a: 1}",
        ),
        ({"stage": {"more": True}}, "    - q\n", "    - q\n  more: true\n"),
        ({"last": "two words"}, "last: 1", 'last: "two words"'),
        ({"new": {"k": {"a": 1}}}, "last: 1", "last: 1\n\nnew:\n  k: {a: 1}\n"),
    ],
)
def test_a_change_touches_nothing_else(changes: dict[str, Any], old: str, new: str, tmp_path: Path):
    assert merge_changes(TEXT, changes) == TEXT.replace(old, new)
    (tmp_path / "p.yaml").write_text(merge_changes(TEXT, changes))
    loaded = read_yaml(tmp_path / "p.yaml")
    for section, values in changes.items():
        for key, value in values.items() if isinstance(values, dict) else []:
            assert (
                loaded[section][key] == value or set(value.items()) <= loaded[section][key].items()
            )


def test_what_is_there_already_changes_nothing():
    assert merge_changes(TEXT, {"rows": {"one": {"a": "x"}}, "last": 1}) == TEXT
    assert show_difference(TEXT, TEXT) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-6, "1.0e-06"),
        (0.1, "0.1"),
        (2.0, "2.0"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("a/b-1.c", "a/b-1.c"),
        ("no", '"no"'),
        ("1", '"1"'),
        ("", '""'),
        ("a: b", '"a: b"'),
        ({"a": [1, "x"]}, "{a: [1, x]}"),
    ],
)
def test_values_are_written_so_that_every_reader_agrees(value: Any, text: str, tmp_path: Path):
    assert format_flow(value) == text
    (tmp_path / "p.yaml").write_text(f"k: {text}\n")
    assert read_yaml(tmp_path / "p.yaml")["k"] == value


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, profiles and the files that params name."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    raw = read_yaml(ROOT / "params.yaml")
    for row in raw["models"].values():
        (tmp_path / row["path"]).mkdir(parents=True)
        (tmp_path / row["path"] / "config.json").write_text("{}")
    shutil.copytree(ROOT / "data/micro/sources", tmp_path / "data/micro/sources")
    shutil.copytree(ROOT / "data/micro/prompts", tmp_path / "data/micro/prompts")
    shutil.copy(ROOT / "data/micro/judge.json", tmp_path / "data/micro")
    (tmp_path / "data/benchmarks").mkdir()
    for name in ("dvc.yaml", "stages", "montessori"):  # what stages read
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_round_is_a_row_in_each_section(project: Path):
    before = (project / "params.yaml").read_text()
    shown = apply_round(project / "params.yaml", "montessori-3", "montessori-2")
    after = (project / "params.yaml").read_text()
    added = [line for line in after.splitlines() if line not in before.splitlines()]
    assert len(added) == 7
    assert all(f"+{line}" in shown for line in added)
    raw = read_yaml(project / "params.yaml")
    assert raw["probes"]["montessori-3"] == {
        "teacher": "teachers/montessori-2",
        "seeds": "seed/seeds",
    }
    assert raw["rounds"]["montessori-3"] == {
        "scores": "influence/montessori-3",
        "probe": "montessori-3",
        "start": "teachers/montessori-2",
    }
    assert raw["runs"]["montessori-3"] == {
        "model": "students/montessori-3",
        "against": "self-instruct",
    }
    with pytest.raises(MontessoriError, match="exists already"):
        apply_round(project / "params.yaml", "montessori-3", "montessori-2")
    apply_round(project / "params.yaml", "montessori-4", "montessori-3")


def test_a_byte_order_mark_and_line_ends_of_windows_stay(project: Path):
    params = project / "params.yaml"
    before = b"\xef\xbb\xbf" + params.read_bytes().replace(b"\n", b"\r\n")
    params.write_bytes(before)
    apply_round(params, "montessori-3", "montessori-2")
    after = params.read_bytes()
    assert after.startswith(before[:100])
    assert after.count(b"\n") == after.count(b"\r\n")
    kept = [line for line in after.splitlines() if b"montessori-3" not in line]
    assert kept == before.splitlines()
    assert "montessori-3" in read_yaml(params)["rounds"]


def test_a_benchmark_is_a_row_for_each_run(project: Path):
    params = project / "params.yaml"
    shown = apply_benchmark(params, "mmlu", 5, [])
    raw = read_yaml(params)
    assert list(raw["harnesses"]) == [f"mmlu-5shot-{run}" for run in raw["runs"]]
    row = {"model": "students/self-instruct", "task": "mmlu", "shots": 5}
    assert raw["harnesses"]["mmlu-5shot-self-instruct"] == row
    assert "+  mmlu-5shot-base: {model: models/student, task: mmlu, shots: 5}" in shown
    apply_benchmark(params, "gsm8k", -1, ["base"])
    added = {name: row for name, row in read_yaml(params)["harnesses"].items() if "gsm8k" in name}
    assert added == {"gsm8k-base": {"model": "models/student", "task": "gsm8k", "shots": -1}}
    before = params.read_text()
    with pytest.raises(MontessoriError, match="no run nobody"):
        apply_benchmark(params, "gsm8k", 8, ["base", "nobody"])
    assert params.read_text() == before


def test_a_round_keeps_the_settings_that_its_rows_have_for_themselves(project: Path):
    text = (project / "params.yaml").read_text()
    old = "start: teachers/montessori-1}"
    assert old in text
    changed = text.replace(old, "start: teachers/montessori-1, prefs: {rule: best-worst}}")
    (project / "params.yaml").write_text(changed)
    apply_round(project / "params.yaml", "montessori-3", "montessori-2")
    rounds = read_yaml(project / "params.yaml")["rounds"]
    assert rounds["montessori-3"]["prefs"] == {"rule": "best-worst"}


def test_a_dry_run_and_a_bad_name_write_nothing(project: Path):
    params = project / "params.yaml"
    before = params.read_text()
    assert "montessori-3" in apply_round(params, "montessori-3", "montessori-2", dry_run=True)
    for name, old in (("montessori-3", "montessori-9"), ("montessori 3", "montessori-2")):
        with pytest.raises(MontessoriError):
            apply_round(params, name, old)
    assert params.read_text() == before
    assert [path.name for path in project.glob(".params*")] == []


def test_what_a_killed_command_left_beside_params_is_swept(project: Path):
    """git does not ignore it, so a commit would take it."""
    process = subprocess.Popen(["true"])
    process.wait()
    stray = project / f".params.yaml.{process.pid}.partial"
    stray.write_text("half")
    apply_round(project / "params.yaml", "montessori-3", "montessori-2")
    assert not stray.exists()


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_every_profile_fits(project: Path, name: str):
    apply_profile(project / "params.yaml", project / "profiles", name)
    again = apply_profile(project / "params.yaml", project / "profiles", name)
    assert again == "params.yaml has these settings already"


def test_several_profiles_fit_together(project: Path):
    for name in ("baselines", "arte", "signals", "ablations", "budgets", "controls"):
        apply_profile(project / "params.yaml", project / "profiles", name)
    rows = read_yaml(project / "params.yaml")
    assert rows["alignments"]["arte-1"]["drafts"] == "arte-1"
    assert rows["rounds"]["margin"]["prefs"] == {"margin": 0.5}
    again = apply_profile(project / "params.yaml", project / "profiles", "baselines")
    assert again == "params.yaml has these settings already"


def test_an_empty_section_changes_nothing(project: Path):
    before = (project / "params.yaml").read_text()
    (project / "profiles/empty.yaml").write_text("rounds:\n\nprefs:   # nothing yet\n")
    apply_profile(project / "params.yaml", project / "profiles", "empty")
    assert (project / "params.yaml").read_text() == before


def test_a_row_that_is_null_is_taken_out():
    second = "  b-2:   # second\n    {x: 2}\n"
    without = "rows:   # all\n  a: {x: 1}\n  c: {x: 3}   # end\n\nlast: {b: 2, d: 4}\n"
    text = without.replace("  c:", second + "  c:")
    assert merge_changes(text, {"rows": {"b-2": None, "none": None}}) == without
    assert merge_changes(without, {"rows": {"b-2": None}}) == without
    assert "last: {b: 2}" in merge_changes(text, {"last": {"d": None}})
    one = "rows:   # all\n  a: {x: 1}\n\nlast: {b: 2}\n"
    assert merge_changes(one, {"rows": {"a": None}}) == "rows: {}   # all\n\nlast: {b: 2}\n"
    assert merge_changes(one, {"last": {"b": None}}) == one.replace("{b: 2}", "{}")


def test_a_section_without_value_is_no_obstacle():
    text = "first: {a: 1}\nempty:   # nothing yet\n  null\n\nlast: {b: 2}   # the end\n"
    assert merge_changes(text, {"last": {"b": 3}}) == text.replace("b: 2", "b: 3")


def test_a_profile_includes_others(project: Path):
    folder = project / "profiles"
    (folder / "one.yaml").write_text("prefs: {margin: 0.5, max_per_prompt: 1}\n")
    (folder / "two.yaml").write_text("include: [one]\nprefs: {margin: 0.25}\n")
    assert read_profile(folder, "two") == {"prefs": {"margin": 0.25, "max_per_prompt": 1}}
    assert "arte-1" in read_profile(folder, "baselines")["alignments"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("include: [two]", "two -> one -> two"),
        ("include: [nine]", "no profile 'nine'"),
        ("include: one", "a list of other profiles"),
    ],
)
def test_a_profile_that_cannot_be_read_is_an_error(project: Path, text: str, words: str):
    (project / "profiles/one.yaml").write_text(text + "\n")
    (project / "profiles/two.yaml").write_text("include: [one]\n")
    with pytest.raises(MontessoriError) as caught:
        read_profile(project / "profiles", "two")
    assert words in str(caught.value)
    assert "one.yaml" in str(caught.value)


def commit(folder: Path) -> None:
    """A git repository with the folder's params.yaml in its one commit."""
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (["init", "-q"], ["add", "params.yaml"], [*who, "commit", "-q", "-m", "params"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


def test_profile_lab_brings_back_what_was_committed(project: Path):
    commit(project)
    params = project / "params.yaml"
    before = read_yaml(params)
    for name in ("paper", "exams"):
        apply_profile(params, project / "profiles", name)
    text = params.read_text().replace("seed: 0 ", "seed: 7 ").replace("threads: 0 ", "threads: 3 ")
    params.write_text(text)
    apply_profile(params, project / "profiles", "lab")
    after = read_yaml(params)
    assert (after["seed"], after["machine"]["threads"]) == (7, 3)
    assert after["alignments"]  # rows of another profile stay
    for section, values in before.items():
        if section not in ("seed", "machine"):
            assert values.items() <= after[section].items()


def test_profile_lab_needs_git(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    with pytest.raises(MontessoriError, match=r"git has no params.yaml to take the profile lab"):
        read_profile(project / "profiles", "lab")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MontessoriError, match="No such file"):
        read_profile(project / "profiles", "lab")


def test_the_file_keeps_its_mode_and_stays_a_link(project: Path):
    params, real = project / "params.yaml", project / "elsewhere.yaml"
    params.rename(real)
    real.chmod(0o640)
    params.symlink_to("elsewhere.yaml")
    apply_round(params, "montessori-3", "montessori-2")
    assert params.is_symlink()
    assert "montessori-3" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_profile_that_does_not_fit_is_not_written(project: Path):
    before = (project / "params.yaml").read_text()
    (project / "profiles/bad.yaml").write_text("influence: {learning_rat: 1}\nprefs: {margin: x}\n")
    with pytest.raises(MontessoriError) as caught:
        apply_profile(project / "params.yaml", project / "profiles", "bad")
    assert "did you mean learning_rate" in str(caught.value)
    assert "prefs.margin" in str(caught.value)
    assert (project / "params.yaml").read_text() == before
    with pytest.raises(MontessoriError, match="no profile 'none'"):
        apply_profile(project / "params.yaml", project / "profiles", "none")


def test_the_commands(project: Path):
    runner = CliRunner()
    assert "params.yaml is right" in runner.invoke(cli.app, ["check"]).output
    dry = runner.invoke(cli.app, ["add", "round", "m-3", "--from", "montessori-2", "--dry-run"])
    assert "+  m-3: {teacher: teachers/montessori-2" in dry.output
    commit(project)
    assert "already" in runner.invoke(cli.app, ["profile"]).output
    assert runner.invoke(cli.app, ["add", "round", "m-3"]).exit_code == 2
    added = runner.invoke(cli.app, ["add", "benchmark", "gsm8k", "--runs", "base,montessori-2"])
    assert "+  gsm8k-montessori-2: {model: students/montessori-2" in added.output
    assert "self-instruct" not in added.output.replace("against: self-instruct", "")


def test_a_problem_ends_the_command_line_without_a_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (project / "params.yaml").write_text("seed: 0\n")
    monkeypatch.setattr("sys.argv", ["montessori", "check"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "models: section is missing" in capsys.readouterr().err
