"""dvc.yaml read as data, forms that are not known, and what stages of rows need.

What would break: a stage that the checks, the costs, the proof or the reference overlook, because
dvc.yaml says something that nobody reads.
"""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.graph.references import find_needs, find_references, read_rows
from montessori.graph.rows import ROWS, SEED_SETS, Names, names_of, rows_of
from montessori.graph.scripts import find_settings_classes, read_script
from montessori.graph.stages import Graph, read_graph

ROOT = Path(__file__).parents[2]
GRAPH = read_graph(ROOT)
TEXT = """\
stages:
  toy:
    foreach: ${toys}
    do:
      desc: A toy
      cmd: >-
        python -m stages.toy_maker --name ${key} --like data/toys/${item.like}
        --scores data/${item.scores} --rows ${item.rows} --template ${toy.template}
        --box data/boxes/${key} --out data/toys/${key} --metrics metrics/toy/${key}.json
      params: [seed, toy, "toys.${key}"]
      deps:
        - data/code/toy-maker
        - data/toys/${item.like}
        - data/${item.scores}
        - ${item.rows}
        - ${toy.template}
        - data/boxes/${key}
        - data/seed/evals
      outs:
        - data/toys/${key}: {push: false}
      metrics:
        - metrics/toy/${key}.json: {cache: false}
      plots:
        - metrics/plots/toy/${key}.csv: {cache: false, x: step}
  box:
    foreach: ${toys}
    do:
      cmd: python -m stages.box --name ${key} --out data/boxes/${key}
      outs: ["data/boxes/${key}"]
  all:
    cmd: python -m stages.all --name all --metrics metrics/all.json
    params: [toys, all]
    metrics:
      - metrics/all.json: {cache: false}
"""


def graph_of(folder: Path, text: str) -> Graph:
    (folder / "dvc.yaml").write_text(text)
    return read_graph(folder)


def test_a_stage_says_what_it_reads_and_writes(tmp_path: Path):
    graph = graph_of(tmp_path, TEXT)
    toy, box, whole = graph.stages
    assert (toy.kind, toy.desc, toy.script) == ("toy", "A toy", "stages/toy_maker.py")
    assert (toy.section, toy.settings, toy.changes) == ("toys", ("seed", "toy"), True)
    assert (toy.folders, toy.metrics, toy.code) == (("toys",), "toy", "toy-maker")
    assert (toy.by_name, toy.by_path, toy.files) == ({"like": "toys"}, ("scores",), ("rows",))
    assert (toy.file_settings, toy.own) == ((("toy", "template"),), ("boxes",))
    assert toy.options["template"] == "${toy.template}"
    assert toy.outs[-1] == "metrics/plots/toy/${key}.csv"
    assert (box.desc, box.metrics, box.changes) == ("", None, False)
    assert (whole.section, whole.settings, whole.metrics) == (None, ("toys", "all"), None)


def test_a_graph_says_whose_rows_lie_in_a_folder(tmp_path: Path):
    graph = graph_of(tmp_path, TEXT)
    assert graph.row_sections() == ("toys",)
    assert [stage.kind for stage in graph.stages_of("toys")] == ["toy", "box"]
    assert graph.sections_of("boxes") == graph.sections_of("toys") == ("toys",)
    assert graph.sections_of("nothing") == ()
    assert graph.metrics_folders() == ("toy",)
    assert GRAPH.sections_of("teachers") == ("rounds", "alignments")
    assert GRAPH.sections_of("probe") == ("probes", "probe_files", "response_probes")


@pytest.mark.parametrize(
    ("old", "new", "problem", "expected"),
    [
        ("foreach: ${toys}", "foreach: [a, b]", "its foreach is not over a section", "${SECTION}"),
        ("foreach: ${toys}", "matrix: {x: [a]}", "unknown keys: matrix, do", "desc, cmd, params"),
        ("      desc: A toy\n", "      wdir: x\n", "unknown keys: wdir", "desc, cmd, params"),
        ("python -m stages.toy_maker", "python make_toy.py", "its cmd is", "-m stages.SCRIPT"),
        (" --name ${key} --like", " ${key} --like", "its cmd is", "--OPTION VALUE"),
        ("data/${item.scores}\n        - ${item.rows}", "data/${item.scores}/x\n        - r",
         "dep data/${item.scores}/x has an unknown form", "data/FOLDER/${item.KEY}"),
        ("- ${toy.template}", "- ${toy.template.x}", "dep ${toy.template.x}", "${SECTION.KEY}"),
        ("- data/boxes/${key}", "- data/boxes/a-${key}", "dep data/boxes/a-${key}", "/${key}"),
        ("- data/toys/${key}: {push", "- data/toys/a-${key}: {push", "out data/toys/a-${key}",
         "data/FOLDER/${key}"),
        ("- metrics/toy/${key}.json", "- metrics/toy-${key}.json", "metrics are",
         "metrics/FOLDER/${key}.json"),
        ('"toys.${key}"]', '"toys.${key}.rows"]', "its params are", '"toys.${key}" for the row'),
        ("      deps:\n", "      deps: &d\n        - {a: 1, b: 2}\n", "in its deps", "paths"),
    ],
)  # fmt: skip
def test_a_form_that_is_not_known_names_the_stage_and_what_to_change(
    tmp_path: Path, old: str, new: str, problem: str, expected: str
):
    assert old in TEXT
    with pytest.raises(MontessoriError) as caught:
        graph_of(tmp_path, TEXT.replace(old, new, 1))
    error = caught.value
    assert error.what.startswith("stage toy: ")
    assert problem in error.what
    assert expected in error.expected
    assert error.where == "dvc.yaml"
    assert error.next.startswith(
        "write the stage in that form, or teach montessori/graph/stages.py"
    )


def test_a_stage_without_rows_names_no_row(tmp_path: Path):
    with pytest.raises(MontessoriError, match="stage all: dep data/toys/"):
        graph_of(tmp_path, TEXT + "    deps: ['data/toys/${key}']\n")
    with pytest.raises(MontessoriError, match="stage all: out data/toys/"):
        graph_of(tmp_path, TEXT + "    outs: ['data/toys/${key}']\n")


def test_a_file_without_stages_is_an_error(tmp_path: Path):
    with pytest.raises(MontessoriError, match="the file has no stages"):
        graph_of(tmp_path, "vars: [x.yaml]\n")


# ------------------------------------------------------------------------------------- scripts
def test_the_settings_class_of_a_section_is_what_scripts_read_it_with():
    classes = find_settings_classes(GRAPH)
    assert classes["teacher_dpo"] == "montessori.train.settings:TeacherDpoParams"
    assert classes["response"] == "montessori.writing.settings:ResponseParams"  # by a helper
    assert "runs" not in classes  # rows, not settings
    sections = {name for stage in GRAPH.stages for name in stage.settings}
    assert set(classes) == sections - set(ROWS) - {"seed"}


def test_a_script_that_cannot_be_read_is_an_error(tmp_path: Path):
    (tmp_path / "stages").mkdir()
    with pytest.raises(MontessoriError, match="not readable as Python"):
        read_script(tmp_path, "stages/x.py")
    (tmp_path / "stages/x.py").write_text("work(job)\n")
    with pytest.raises(MontessoriError, match="work is given the job, but is no function"):
        read_script(tmp_path, "stages/x.py")


# ------------------------------------------------------------------------- rows and what they need
def test_sets_that_rows_may_name_are_outputs_of_the_seed_stage():
    outs = {out for stage in GRAPH.stages for out in stage.outs}
    assert {f"data/{name}" for name in SEED_SETS} <= outs


def test_a_row_class_says_what_a_key_may_name():
    assert names_of(ROWS["rounds"])["start"].folders == ("models", "teachers")
    assert names_of(ROWS["joins"]) == {}


def test_a_class_without_a_type_for_a_reference_stops_with_what_to_write(monkeypatch):
    monkeypatch.setattr("montessori.graph.references.names_of", lambda cls: {})
    rows, _ = read_rows(read_yaml(ROOT / "params.yaml"))
    with pytest.raises(MontessoriError) as caught:
        list(find_references(rows, GRAPH))
    assert "key teacher of class Probe does not say what it may name" in str(caught.value)
    assert "teacher: Annotated[str, Names((FOLDER, ...))]" in str(caught.value)


def test_a_class_is_registered_for_its_sections(monkeypatch):
    registered: dict[str, type] = {}
    monkeypatch.setattr("montessori.graph.rows.ROWS", registered)
    assert rows_of("one", "two")(Names) is Names
    assert registered == {"one": Names, "two": Names}


def test_a_stage_of_a_row_needs_the_stages_that_write_its_inputs():
    rows, _ = read_rows(read_yaml(ROOT / "params.yaml"))
    needs = find_needs(rows, GRAPH)
    one = "montessori-1"
    assert needs["teacher-dpo", one] == {("prefs", one), ("models", "teacher")}
    assert needs["prefs", one] == {("influence", one), ("probe", one)}
    assert needs["answers", "base"] == {("models", "student")}
    assert needs["judge", "base"] == {("answers", "base"), ("answers", "self-instruct")}
