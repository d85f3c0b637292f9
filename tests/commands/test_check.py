"""`montessori check`: problems of the rows and settings of params.yaml, before anything runs.

What would break: a run of hours ends at its last stage because of a misspelt row, or correct params
are refused.
"""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from montessori.commands.check import check_file, check_params, find_problems
from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.graph.references import find_circle, read_rows
from montessori.graph.stages import read_graph

ROOT = Path(__file__).parents[2]
RAW = read_yaml(ROOT / "params.yaml")
GRAPH = read_graph(ROOT)


def changed(path: str, value: Any) -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    *above, last = path.split("/")
    node = raw
    for key in above:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return raw


ARTE = {
    "tasks": {"t": {"source": "tasks.json"}},
    "examinees": {"s": {"model": "models/student", "tasks": "t"}},
    "preferences": {"t": {"tasks": "t"}},
    "drafts": {
        "a": {"teacher": "models/teacher", "tasks": "t"},
        "b": {"teacher": "models/teacher", "tasks": "t"},
    },
    "icls": {
        "a": {"rows": "drafts/a", "student": "models/student", "questions": "preferences/t"},
        "m": {
            "rows": "probe/montessori-1",
            "student": "models/student",
            "questions": "seed/reference",
        },
    },
    "alignments": {"a": {"drafts": "a", "scores": "icl/a", "start": "models/teacher"}},
    "tailored": {"a": {"teacher": "teachers/a", "tasks": "t"}},
}


@pytest.mark.parametrize(
    ("section", "name", "change", "problem"),
    [
        ("alignments", "a", {"drafts": "b"}, "icl/a scores drafts/a, but the alignment's drafts"),
        ("alignments", "a", {"scores": "influence/montessori-1"}, "is not one of icl/NAME"),
        ("examinees", "s", {"tasks": "other"}, "no row of examinees takes the tasks 't'"),
        ("drafts", "a", {"filter": {"max_chars": 9}}, "drafts.a.filter.max_chars: unknown key"),
        ("icls", "a", {"rows": "datasets/self-instruct"}, "is not one of drafts/NAME, probe/NAME"),
        ("tailored", "a", {"strategy": "clever"}, "is not one of naive, task"),
        ("tailored", "a", {"teacher": "teachers/b"}, "rounds or alignments has a, montessori-1"),
        ("alignments", "montessori-1", ARTE["alignments"]["a"], "rounds has a row of this name"),
        ("tailored", "self-instruct", ARTE["tailored"]["a"], "datasets has a row of this name"),
        ("rounds", "montessori-1", {"scores": "icl/a"}, "icl/a scores the probe drafts/a"),
        ("rounds", "montessori-2", {"scores": "icl/m"}, "icl/m scores the probe montessori-1"),
    ],
)
def test_rows_of_arte_name_their_problem(section, name, change, problem):
    raw = copy.deepcopy(RAW) | copy.deepcopy(ARTE)
    assert find_problems(raw, GRAPH) == []
    raw[section][name] = raw[section].get(name, {}) | change
    assert any(problem in found for found in find_problems(raw, GRAPH)), find_problems(raw, GRAPH)


def test_the_shipped_params_are_right():
    assert find_problems(RAW, GRAPH) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("infleunce", {}, "infleunce: unknown section"),
        ("losses", {}, "losses: is called student_signals now; each row has measure: loss"),
        ("uncertainty", {"direction": "low"}, "uncertainty: is called student_signal now"),
        ("seed", "one", "seed: 'one' is not a whole number"),
        ("seed", None, "seed: section is missing"),
        (
            "rounds",
            None,
            "rounds: section is missing; dvc.yaml goes over its rows, so write rounds: {}",
        ),
        ("runs", [], "runs: [] is not a mapping"),
        ("prefs", None, "prefs: section is missing"),
        ("sources/evals", None, "sources.evals: key is missing"),
        ("machine/device", "tpu", "machine.device: 'tpu' (str) is not one of auto, cpu, cuda"),
        ("generation", None, "generation: section is missing"),
        ("generation/engine", "llama.cpp", "'llama.cpp' (str) is not one of transformers, vllm"),
        ("machine/tensor_parallel", 0, "machine.tensor_parallel: 0 is below 1"),
        ("machine/gpu_memory", 1.5, "machine.gpu_memory: 1.5 is not in (0, 1]"),
        ("machine/max_usd", -1, "machine.max_usd: -1.0 is below 0"),
        ("machine/server", "localhost:8000", "machine.server: is not an address"),
        ("teacher_dpo/beta", "x", "teacher_dpo.beta: 'x' (str) is not a number"),
        ("rounds/a b", RAW["rounds"]["montessori-1"], "rounds.a b: a name has letters"),
        ("rounds/montessori-1/start", None, "rounds.montessori-1.start: key is missing"),
        (
            "rounds/montessori-2/start",
            "teachers/montessori-9",
            "'teachers/montessori-9' does not exist; rounds or alignments has montessori-1",
        ),
        ("rounds/montessori-2/start", "montessori-1", "is not one of models/NAME, teachers/NAME"),
        ("rounds/montessori-2/start", "students/base", "is not one of models/NAME, teachers/NAME"),
        (
            "probes/montessori-1/seeds",
            "seed/evals",
            "is not one of seed/seeds, seed/reference, seed/other_reference",
        ),
        ("influences/montessori-1/warmup", "none", "'none' does not exist; warmups has"),
        ("students/montessori-1/student", "pupil", "models has student, student-2, teacher"),
        ("models/teacher", None, "probes.montessori-1.teacher: 'models/teacher' does not exist"),
        ("runs/base/against", "nobody", "runs.base.against: 'nobody' does not exist; runs has"),
        ("compare/baseline", "nobody", "compare.baseline: 'nobody' does not exist"),
        ("probe_files/montessori-1", {"rows": "x"}, "probes has a row of this name too"),
        (
            "rounds/montessori-2/probe",
            "montessori-1",
            "influence/montessori-2 scores the probe montessori-2, but the round's probe is",
        ),
        (
            "rounds/montessori-1/prefs",
            {"rule": "best", "limit": 1},
            "rounds.montessori-1.prefs.rule: 'best' (str) is not one of cross, best-worst",
        ),
        (
            "influences/montessori-1/influence",
            {"untl": "group"},
            "influences.montessori-1.influence.untl: unknown key (did you mean unit?)",
        ),
        ("datasets/self-instruct/synth", {"rows": 0}, "datasets.self-instruct.synth.rows: 0 is be"),
        (
            "judge_signals/j",
            {"probe": "montessori-1", "judge": "students/self-instruct"},
            "is not one of micro/FILE.json, models/NAME, teachers/NAME",
        ),
        (
            "selections/s",
            {"probe": "montessori-1", "scores": "influence/montessori-2"},
            "selections.s.scores: influence/montessori-2 scores the probe montessori-2, but the ",
        ),
        (
            "joins/self-instruct",
            {"first": "montessori-1", "second": "montessori-2"},
            "has a row of",
        ),
        (
            "response_probes/montessori-1",
            {"probe": "montessori-2", "warmup": "montessori-2", "teacher": "models/teacher"},
            "response_probes.montessori-1: probes has a row of this name too",
        ),
        ("shuffles/s", {"scores": "shuffle/s"}, "shuffles.s: goes in a circle: shuffles.s needs"),
    ],
)
def test_a_problem_names_its_key(path: str, value: Any, problem: str):
    assert problem in "\n".join(find_problems(changed(path, value), GRAPH))


def test_a_round_that_starts_from_its_own_descendant_is_a_circle():
    raw = changed("rounds/montessori-1/start", "teachers/montessori-2")
    rows, _ = read_rows(raw)
    circle = find_circle(rows, GRAPH)
    assert circle[0] == circle[-1]
    assert ("rounds", "montessori-1") in circle
    assert ("rounds", "montessori-2") in circle
    assert any("goes in a circle" in problem for problem in find_problems(raw, GRAPH))


def test_runs_may_be_compared_with_each_other():
    raw = changed("runs/self-instruct/against", "montessori-1")
    raw["runs"]["montessori-1"]["against"] = "self-instruct"
    assert find_problems(raw, GRAPH) == []


def test_a_placebo_and_another_student_are_right():
    raw = changed("shuffles/placebo", {"scores": "influence/montessori-1"})
    raw["rounds"]["placebo"] = {
        "scores": "shuffle/placebo",
        "probe": "montessori-1",
        "start": "models/teacher",
    }
    raw["students"]["two"] = {"dataset": "montessori-1", "student": "student-2"}
    raw["runs"]["two"] = {"model": "students/two", "against": "base"}
    assert find_problems(raw, GRAPH) == []


def test_all_problems_come_in_one_error():
    raw = changed("rounds/montessori-2/start", "teachers/none")
    raw["influence"]["learning_rat"] = 1
    raw["models"]["student"] = {"paht": "x"}
    with pytest.raises(MontessoriError) as caught:
        check_params(raw, ROOT)
    text = str(caught.value)
    for part in (
        "teachers/none",
        "did you mean learning_rate",
        "did you mean path",
        "montessori c",
    ):
        assert part in text


def test_files_that_do_not_exist_are_named(tmp_path: Path):
    found = find_problems(RAW, GRAPH, tmp_path)
    for key in ("models.teacher.path", "sources.evals", "instruction.template"):
        assert any(problem.startswith(f"{key}: data/micro/") for problem in found)


def test_scores_of_every_signal_may_feed_a_round_and_a_missing_judge_is_told(tmp_path: Path):
    raw = copy.deepcopy(RAW)
    row = {"probe": "montessori-1", "warmup": "montessori-1"}
    raw["student_signals"] = {"l": row | {"measure": "loss"}, "u": row | {"measure": "uncertainty"}}
    raw["judge_signals"] = {"j": {"probe": "montessori-1", "judge": "micro/judge.json"}}
    raw["shuffles"] = {"s": {"scores": "judge-signal/j"}}
    for scores in ("student-signal/l", "student-signal/u", "judge-signal/j", "shuffle/s"):
        raw["rounds"]["montessori-1"]["scores"] = scores
        assert find_problems(raw, GRAPH, ROOT) == []
    raw["rounds"]["montessori-2"]["scores"] = "shuffle/s"
    assert "shuffle/s scores the probe montessori-1, but" in "\n".join(
        find_problems(raw, GRAPH, ROOT)
    )
    raw["judge_signals"]["j"]["judge"] = "micro/nobody.json"
    assert "judge_signals.j.judge: data/micro/nobody.json does not exist" in "\n".join(
        find_problems(raw, GRAPH, ROOT)
    )


def test_a_check_is_quick_and_loads_no_model_library():
    code = (
        "import sys; from pathlib import Path; from montessori.commands.check import check_params;"
        "from montessori.graph.load import read_yaml;"
        "check_params(read_yaml('params.yaml'), Path());"
        "print(*{'torch', 'transformers', 'trl', 'lm_eval', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("datasets/self-instruct/teacher", None),
        ("probes/montessori-1/teacher", None),
        ("rounds/montessori-1/start", "rounds.montessori-1.start: 'models/big' is hosted"),
        ("runs/base/model", "runs.base.model: 'models/big' is hosted"),
        ("warmups/montessori-1/student", "warmups.montessori-1.student: 'big' is hosted"),
    ],
)
def test_a_hosted_model_only_teaches(tmp_path: Path, path: str, problem: str | None):
    row = '{"server": "https://api.example.org/v1", "model": "big-2026-01-01"}'
    (tmp_path / "big.json").write_text(row)
    raw = changed(path, "big" if "student" in path else "models/big")
    raw["models"]["big"] = {"path": "big.json"}
    found = [text for text in find_problems(raw, GRAPH, tmp_path) if "does not exist" not in text]
    assert [text.partition(";")[0] for text in found] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("section", "form", "found"),
    [
        ("probes", "prefill", 1),
        ("datasets", "turn", 1),
        ("datasets", "tags", 0),
        ("datasets", "lists", 0),  # which the settings refuse by themselves
    ],
)
def test_a_hosted_teacher_is_asked_in_tags_only(tmp_path: Path, section, form, found):
    row = '{"server": "https://api.example.org/v1", "model": "big-2026-01-01"}'
    (tmp_path / "big.json").write_text(row)
    name = next(iter(RAW[section]))
    raw = changed(f"{section}/{name}/teacher", "models/big")
    raw["models"]["big"] = {"path": "big.json"}
    raw["instruction"]["format"] = form
    problems = [text for text in find_problems(raw, GRAPH, tmp_path) if "is hosted" in text]
    place = f"{section}.{name}.teacher: 'models/big' is hosted and cannot be asked in"
    assert [text.startswith(f"{place} instruction.format: {form}") for text in problems] == (
        [True] * found
    )


def test_what_is_wrong_with_a_hosted_model_is_found_before_anything_runs(tmp_path: Path):
    (tmp_path / "big.json").write_text('{"server": "api.example.org", "modl": "big"}')
    raw = copy.deepcopy(RAW)
    raw["models"]["big"] = {"path": "big.json"}
    found = " ".join(find_problems(raw, GRAPH, tmp_path))
    place = "models.big.path: big.json"
    assert f"{place}, line 1: modl: unknown key (did you mean model?)" in found
    assert f"{place}: model: key is missing" in found


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("data/micro/judge.json", None),
        ("data/models/student-2", None),
        ("data/models/oracle", "judge.model: data/models/oracle does not exist"),
        ("oracle.json", "judge.model: oracle.json does not exist"),
    ],
)
def test_a_judge_is_a_file_or_a_row_of_models(path: str, problem: str | None):
    found = find_problems(changed("judge/model", path), GRAPH, ROOT)
    assert found == ([problem] if problem else [])


def test_an_empty_path_is_an_error_and_not_the_folder_itself():
    """The root of the repository exists, so an empty path would pass as one that does."""
    for path in ("judge/prompts", "sources/evals", "icl/templates"):
        key = path.replace("/", ".")
        assert find_problems(changed(path, ""), GRAPH) == [f"{key}: '' is empty"]
    found = find_problems(changed("models/teacher/path", ""), GRAPH)
    assert "models.teacher.path: '' is empty" in found  # and that rows name a teacher in vain


def test_values_of_the_judge_are_checked():
    assert find_problems(changed("judge/repeats", 0), GRAPH) == ["judge.repeats: 0 is below 1"]
    assert find_problems(changed("judge/top_logprobs", -1), GRAPH) == [
        "judge.top_logprobs: -1 is below 0"
    ]
    assert "one of random, both" in find_problems(changed("judge/orders", "any"), GRAPH)[0]


def test_any_dataset_can_be_trimmed_and_joined():
    """What writes into data/datasets is a dataset, whichever stage it was."""
    raw = copy.deepcopy(RAW) | copy.deepcopy(ARTE)
    raw["dataset_files"] = {"own": {"rows": "rows.jsonl"}}
    raw["selections"] = {
        "best": {"probe": "montessori-1", "scores": "influence/montessori-1"},
    }
    raw["trims"] = {
        "short": {"dataset": "best", "like": "a"},
        "shorter": {"dataset": "a", "like": "short"},
    }
    raw["joins"] = {"both": {"first": "shorter", "second": "own"}}
    assert find_problems(raw, GRAPH) == []
    raw["trims"]["short"]["like"] = "nothing"
    (text,) = find_problems(raw, GRAPH)
    assert "datasets or dataset_files or selections or joins or trims or tailored has a, " in text


def test_rows_of_a_file_cannot_be_trimmed_because_their_tokens_are_not_counted():
    raw = copy.deepcopy(RAW)
    raw["dataset_files"] = {"own": {"rows": "rows.jsonl"}}
    raw["joins"] = {"both": {"first": "self-instruct", "second": "own"}}
    raw["trims"] = {
        "first": {"dataset": "both", "like": "self-instruct"},
        "second": {"dataset": "self-instruct", "like": "first"},
    }
    why = "has rows from a file of your own, whose response tokens are not counted"
    assert find_problems(raw, GRAPH) == [
        f"trims.first.dataset: 'both' {why}",
        f"trims.second.like: 'first' {why}",
    ]
    raw["joins"]["both"]["second"] = "montessori-1"
    assert find_problems(raw, GRAPH) == []


def test_files_are_those_that_the_graph_reads_for_rows_that_are_there(tmp_path: Path):
    raw = copy.deepcopy(RAW) | copy.deepcopy(ARTE)
    raw["tasks"]["t"]["source"] = "nowhere.json"
    found = find_problems(raw, GRAPH, ROOT)
    assert found == ["tasks.t.source: nowhere.json does not exist"]
    raw["harnesses"] = {"h": {"model": "models/student", "task": "gsm8k", "shots": 8}}
    raw["harness"] = raw["harness"] | {"data": "nowhere"}
    assert "harness.data: nowhere does not exist" in find_problems(raw, GRAPH, ROOT)


@pytest.mark.parametrize("value", [None, "missing"])
def test_a_section_that_dvc_needs_is_asked_for_although_it_may_be_empty(value: Any):
    raw = copy.deepcopy(RAW)
    if value is None:
        raw["exams"] = None
    else:
        del raw["exams"]
    wanted = "exams: section is missing; dvc.yaml goes over its rows, so write exams: {}"
    assert find_problems(raw, GRAPH) == [wanted]


def test_a_file_with_old_sections_is_told_the_new_ones_once_and_by_every_reader():
    raw = copy.deepcopy(RAW)
    del raw["student_signals"], raw["student_signal"]
    raw["losses"] = {"l": {"probe": "montessori-1", "warmup": "montessori-1"}}
    raw["loss"] = {"direction": "high", "max_length": 256, "rows_per_part": 64}
    told = [
        "losses: is called student_signals now; each row has measure: loss",
        "loss: is called student_signal now",
    ]
    assert [text for text in find_problems(raw, GRAPH) if text.startswith("loss")] == told
    assert read_rows(raw)[1] == told


@pytest.mark.parametrize(
    "text",
    [
        "extra: " + "[" * 2000 + "]" * 2000,
        "extra: &x {mine: *x}",
        "a0: &a0 [x, x]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)),
    ],
    ids=["deep", "circle", "billions"],
)
def test_yaml_that_is_deep_or_refers_to_itself_is_reported_like_any_other(
    tmp_path: Path, text: str
):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text() + f"\n{text}\n")
    with pytest.raises(MontessoriError, match="unknown section"):
        check_file(path, ROOT)
