"""`montessori check` on paths, hub ids, revisions, recipes and tasks, with file and line.

What would break: a path with a blank or an `&` reaches the shell as two words or two commands, or a
wrong revision, recipe or task is met only when its stage runs, hours later.
"""

import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from montessori.commands.check import check_file, find_problems
from montessori.errors import MontessoriError
from montessori.graph.limits import PathTo
from montessori.graph.load import read_yaml
from montessori.graph.stages import read_graph

ROOT = Path(__file__).parents[2]
RAW = read_yaml(ROOT / "params.yaml")
GRAPH = read_graph(ROOT)
ODD = ["my data/r.jsonl", "a&b", "$HOME", "r (1)", "[x]", "größe", "a;b", 'x"y', "*", "`id`", "#h"]
REFUSED = ["it's.jsonl", "a\nb", "-x.jsonl", "~/x", "https://h.org/x.jsonl", "s3://b/x", "a${b}"]


def problems_with(root: Path, **sections: Any) -> list[str]:
    """The problems of the shipped params with other sections, of what `root` lacks aside."""
    raw = copy.deepcopy(RAW)
    for name, values in sections.items():
        raw[name] = raw[name] | values
    found = find_problems(raw, GRAPH, root)
    shipped = ("data/micro", "montessori/templates")
    return [problem for problem in found if not any(name in problem for name in shipped)]


# --------------------------------------------------------------------------------------- paths
def test_the_shell_reads_each_accepted_path_as_one_word() -> None:
    assert [path for path in ODD if PathTo("file").find_problem(path)] == []
    command = "".join(f"printf '%s\\0' '{path}';" for path in ODD)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.split("\0")[:-1] == ODD


def test_every_path_in_a_command_of_the_graph_stands_between_single_quotes() -> None:
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    commands = re.findall(r"cmd: (?:>-\n)?(.*?)\n +(?:params|deps|outs|metrics):", text, re.S)
    assert len(commands) == len(GRAPH.stages)
    paths = re.findall(r"(?<![/\w}])(.)\$\{\w+\.\w+\}(.)", " ".join(commands))
    assert len(paths) >= 20
    assert set(paths) == {("'", "'")}


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_would_be_another_one_is_refused(tmp_path: Path, path: str) -> None:
    (problem,) = problems_with(tmp_path, dataset_files={"mine": {"rows": path}})
    assert problem.startswith(f"dataset_files.mine.rows: {path!r} ")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("folder", "folder is a folder, not a file"),
        ("link", "link is a link to gone.jsonl, which does not exist"),
        ("sub\\rows.jsonl", "does not exist; folders are separated by / here, not by a backslash"),
        ("x" * 300, "File name too long"),
        ("a b.jsonl", ""),
        ("loop.jsonl", "loop.jsonl is a link to loop.jsonl, which does not exist"),
    ],
)
def test_what_is_at_a_path_is_looked_at(tmp_path: Path, path: str, problem: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a b.jsonl").write_text("{}")
    (tmp_path / "link").symlink_to("gone.jsonl")
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    found = problems_with(tmp_path, dataset_files={"mine": {"rows": path}})
    assert [problem in each for each in found] == ([True] if problem else []), found


def test_a_file_where_a_folder_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    row = {"h": {"model": "models/student", "task": "gsm8k", "shots": 0}}
    found = problems_with(tmp_path, harnesses=row, harness={"data": "file"})
    assert found == ["harness.data: file is a file, not a folder"]


# --------------------------------------------------------------------------------------- hub ids
def test_a_hub_id_as_path_is_answered_with_the_json_to_type(tmp_path: Path) -> None:
    found = problems_with(
        tmp_path,
        models={"big": {"path": "Qwen/Qwen2.5-0.5B"}},
        sources={"seeds": "tatsu-lab/alpaca", "evals": "openai/gsm8k"},
    )
    model, seeds, evals = sorted(found)
    assert '{"hub": "Qwen/Qwen2.5-0.5B", "revision": "40 hex digits of a commit"}' in model
    assert "git ls-remote https://huggingface.co/Qwen/Qwen2.5-0.5B" in model
    assert "hf download openai/gsm8k --repo-type dataset --local-dir F/openai/gsm8k" in seeds
    assert '{"kind": "hub", "dataset": "tatsu-lab/alpaca"' in evals


def test_a_folder_that_is_no_model_is_one(tmp_path: Path) -> None:
    """Such as the project's own, or that of all data."""
    (tmp_path / "own").mkdir()
    (problem,) = problems_with(tmp_path, models={"big": {"path": "own"}})
    assert problem == "models.big.path: own is no model folder: it has no config.json"
    (tmp_path / "own/config.json").write_text("{}")
    assert problems_with(tmp_path, models={"big": {"path": "own"}}) == []


def test_a_name_that_no_file_can_have_is_shortened(tmp_path: Path) -> None:
    (problem,) = problems_with(tmp_path, models={"big": {"path": "x" * 5000}})
    assert "does not exist, and never can (File name too long)" in problem
    assert len(problem) < 500


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ({"hub": "a/b", "revision": COMMIT}, None),
        ({"hub": "a/b", "revision": "main"}, "line 3: revision: 'main' is not a commit of 40 hex"),
        ({"hub": "a/b", "revision": COMMIT[:7]}, "line 3: revision: '0123456' is not a commit"),
        ({"hub": "a/b"}, ": revision: key is missing"),
        ({"hub": "https://h.co/a/b", "revision": COMMIT}, "line 2: hub: 'https://h.co/a/b' is no"),
        ({"hub": "a/b", "revison": COMMIT}, "line 3: revison: unknown key (did you mean revision"),
        ({"model": "a/b"}, "names no model; expected {"),
        ([], "names no model; expected {"),
        (
            {"hub": "a/b", "revision": COMMIT, "chat_template": "t.jinja"},
            "line 4: chat_template: t.jinja does not exist beside the .json",
        ),
        ({"gguf": "m.gguf", "sha256": "0" * 64}, "line 2: gguf: m.gguf does not exist beside"),
    ],
)
def test_the_json_of_a_model_is_read(tmp_path: Path, described: Any, problem: str | None) -> None:
    (tmp_path / "m.json").write_text(json.dumps(described, indent=1))
    found = problems_with(tmp_path, models={"big": {"path": "m.json"}})
    if problem is None:
        assert found == []
    else:
        assert found[0].startswith("models.big.path: m.json")
        assert problem in found[0]


HUB = {"kind": "hub", "dataset": "a/b", "revision": COMMIT, "columns": {"messages": "m"}}
LAB = {"kind": "lab", "bucket": "train", "rows": 5, "weights": {"story_add": 1}}


@pytest.mark.parametrize(
    ("key", "recipe", "problem"),
    [
        ("seeds", HUB, None),
        ("seeds", LAB, None),
        ("heldout", {"kind": "none"}, None),
        ("seeds", {"kind": "none"}, "line 2: kind: 'none' is not one of lab, hub"),
        ("heldout", {"kind": "none", "rows": 3}, "line 3: rows: unknown key (known: kind)"),
        ("evals", LAB, "line 2: kind: 'lab' is not one of lab-evals"),
        ("seeds", HUB | {"revision": "main"}, "line 4: revision: 'main' is not a commit"),
        ("seeds", HUB | {"splt": "train"}, "splt: unknown key (did you mean split?)"),
        ("seeds", HUB | {"columns": {"mesages": "m"}}, "columns.mesages: unknown key (did you"),
        ("seeds", LAB | {"weights": {"story_ad": 1}}, "line 6: weights.story_ad: no family of the"),
        ("seeds", LAB | {"bucket": "trian"}, "bucket: 'trian' (str) is not one of train, refer"),
        (
            "evals",
            {"kind": "lab-evals", "items": {}, "weights": {}},
            "items: it is empty, so nothing would be evaluated",
        ),
        (
            "evals",
            {"kind": "lab-evals", "items": {"b": 3}, "weights": {"c": {"story_add": 1}}},
            "items and weights do not name the same benchmarks",
        ),
        (
            "evals",
            {"kind": "lab-evals", "items": {"b": 3}, "weights": {"b": {"stories": 1}}},
            "weights.b.stories: no family of the lab; it has",
        ),
    ],
)
def test_recipes_are_read(tmp_path: Path, key: str, recipe: Any, problem: str | None) -> None:
    (tmp_path / "r.json").write_text(json.dumps(recipe, indent=1))
    found = problems_with(tmp_path, sources={key: "r.json"})
    if problem is None:
        assert found == []
    else:
        assert found[0].startswith(f"sources.{key}: r.json")
        assert problem in found[0]


@pytest.mark.parametrize(
    ("section", "row", "described", "problem"),
    [
        ("tasks", {"t": {"source": "d.json"}}, {"kind": "lab-tsks"}, "'lab-tsks' is not lab-tasks"),
        (
            "tasks",
            {"t": {"source": "d.json"}},
            {"kind": "lab-tasks", "families": ["weather"]},
            "'weather' is no family of the lab",
        ),
        ("judge", {"model": "d.json"}, {"kind": "oracle"}, "is no judge; expected {"),
    ],
)
def test_the_json_of_tasks_and_of_a_judge_is_read(
    tmp_path: Path, section: str, row: Any, described: Any, problem: str
) -> None:
    (tmp_path / "d.json").write_text(json.dumps(described, indent=1))
    (found,) = problems_with(tmp_path, **{section: row})
    assert found.startswith(f"{section}.")
    assert "d.json" in found
    assert problem in found


def test_a_broken_json_file_is_one_problem_among_others(tmp_path: Path) -> None:
    for name in ("m.json", "r.json"):
        (tmp_path / name).write_text('{"hub": "a/b",\n "revision" "x"}')
    found = problems_with(tmp_path, models={"big": {"path": "m.json"}}, sources={"seeds": "r.json"})
    assert len(found) == 2
    assert all("r.json: not valid JSON" in each or "line 2" in each for each in found)
    for name in ("m.json", "r.json"):
        (tmp_path / name).write_text('{"kind": "hub",\n "kind": "lab"}')
    found = problems_with(tmp_path, models={"big": {"path": "m.json"}}, sources={"seeds": "r.json"})
    assert all("the key 'kind' twice" in each for each in found)


# --------------------------------------------------------------------------------------- tasks
def harness(task: str, shots: int) -> dict[str, Any]:
    return {"h": {"model": "models/student", "task": task, "shots": shots}}


def test_tasks_and_examples_are_those_of_lm_eval(monkeypatch: pytest.MonkeyPatch) -> None:
    class Index:
        all_tasks = ("gsm8k", "gsm8k_cot", "hellaswag")

    monkeypatch.setattr("montessori.evals.public.lm_eval_tasks.task_index", Index)
    for task in ("gsm8k", "mmlu", "math_word_problems"):  # a task, a group and a tag
        assert problems_with(ROOT, harnesses=harness(task, 5), harness={"data": "data"}) == []
    found = problems_with(ROOT, harnesses=harness("gsm8kk", 5), harness={"data": "data"})
    expected = "harnesses.h.task: lm-eval has no task 'gsm8kk'; did you mean gsm8k or gsm8k_cot?"
    assert found == [expected]
    (found,) = problems_with(ROOT, harnesses=harness("ifeval", 5), harness={"data": "data"})
    assert found.startswith("harnesses.h.shots: 5 examples, but the task ifeval is defined without")


# --------------------------------------------------------------------------------------- lines
def test_problems_of_a_file_have_line_numbers(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("learning_rate: 1.0e-5 ", 'learning_rate: "1e-5" ', 1)
    text = text.replace("start: teachers/montessori-1}", "start: teachers/x}", 1)
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(MontessoriError) as caught:
        check_file(tmp_path / "params.yaml", ROOT)
    lines = text.splitlines()
    for part, problem in (
        (
            '"1e-5"',
            "influence.learning_rate: '1e-5' (str) is not a number; write it without quotes",
        ),
        ("teachers/x}", "rounds.montessori-2.start: 'teachers/x' does not exist"),
    ):
        number = next(place for place, line in enumerate(lines, 1) if part in line)
        assert f"line {number}: {problem}" in str(caught.value)
