"""Costs of runs, added up by hand.

What would break: equal budgets are not equal: a stage is forgotten or counted twice, or an unknown
time counts as zero.
"""

import json
import re
from pathlib import Path

import pytest

from montessori.artifacts.files import write_json
from montessori.commands.budgets import write_budgets
from montessori.compare.costs import (
    FREE,
    STUDENT,
    TRAINS_TEACHER,
    WRITES,
    Cost,
    compute_budgets,
    count_flops,
)
from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.graph.profiles import merge_mappings, read_profile
from montessori.graph.references import read_rows
from montessori.graph.stages import read_graph

ROOT = Path(__file__).parents[2]
RAW = read_yaml(ROOT / "params.yaml")
ROWS = read_rows(RAW)[0]
GRAPH = read_graph(ROOT)

#: Metrics by folder and row: N is 10 for the student and 100 for the teacher.
METRICS = {
    "probe/montessori-1": {"tokens": 400},
    "probe/montessori-2": {"tokens": 500},
    "warmup/montessori-1": {"parameters": 10, "tokens_trained": 3, "tokens": 77},
    "warmup/montessori-2": {"parameters": 10, "tokens_trained": 3},
    "influence/montessori-1": {"parameters": 10, "tokens_trained": 7, "tokens_forward": 5},
    "influence/montessori-2": {"parameters": 10, "tokens_trained": 7, "tokens_forward": 5},
    "teacher-dpo/montessori-1": {"parameters": 100, "tokens_trained": 2, "tokens_forward": 1},
    "teacher-dpo/montessori-2": {"parameters": 100, "tokens_trained": 2, "tokens_forward": 1},
    "synth/self-instruct": {"tokens": 1000, "server": {"usd": 0.25}},
    "synth/montessori-1": {"tokens": 1200},
    "synth/montessori-2": {"tokens": 1300},
    "prefs/montessori-1": {"pairs": 9},
    "prefs/montessori-2": {"pairs": 9},
    "student-sft/self-instruct": {"parameters": 10, "tokens_trained": 20, "rows": 50},
    "student-sft/montessori-1": {"parameters": 10, "tokens_trained": 22, "rows": 50},
    "student-sft/montessori-2": {"parameters": 10, "tokens_trained": 24, "rows": 50},
}
STAGES = [*METRICS, "eval/base", "answers/base"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with params.yaml, metrics and a second of runtime, on a CPU, for each stage."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    for name, values in METRICS.items():
        write_json(tmp_path / "metrics" / f"{name}.json", values)
    for name in STAGES:
        took(tmp_path, name, seconds=1.0, device_seconds=0.0)
    return tmp_path


def took(project: Path, stage: str, **facts: float) -> None:
    """Write the runtime record of a stage."""
    write_json(project / "metrics" / "runtime" / f"{stage}.json", facts)


def cells(text: str, run: str) -> dict[str, str]:
    """A run's cells of the printed table by column."""
    lines = [re.split(r"\s{2,}", line) for line in text.partition("\n\n")[0].splitlines()]
    return dict(zip(lines[0], next(line for line in lines if line[0] == run), strict=True))


def test_flops_by_hand():
    assert count_flops({"parameters": 10, "tokens_trained": 7, "tokens_forward": 5}) == 520
    assert count_flops({"tokens": 7}) == 0


def test_a_run_costs_all_the_stages_it_needs_and_no_others(project):
    found = compute_budgets(ROWS, GRAPH, project / "metrics")
    assert found["base"].cost == Cost()
    assert found["base"].rows is None
    assert found["self-instruct"].cost == Cost(1000, 1200.0, usd=0.25, seconds=2.0)
    one = Cost(
        teacher_tokens=400 + 1200,
        student_flops=60 * 3 + 520 + 60 * 22,
        teacher_flops=600 * 2 + 200 * 1,
        seconds=7.0,  # probe, warmup, influence, prefs, teacher-dpo, synth, student-sft
    )
    assert found["montessori-1"].cost == one
    # the second round needs the first, but not the data that the first teacher wrote
    assert found["montessori-2"].cost.teacher_tokens == 400 + 500 + 1300
    assert found["montessori-2"].cost.seconds == 12.0
    assert found["montessori-2"].cost.teacher_flops == 2 * one.teacher_flops


def test_equal_budgets_are_proportions_of_the_baseline(project):
    text = write_budgets(project, project / "b.json")
    figures = json.loads((project / "b.json").read_text())
    one = figures["montessori-1"]
    assert one["baseline_rows_at_equal_teacher_tokens"] == 80  # 50 x 1600 / 1000
    assert one["baseline_rows_at_equal_student_flops"] == round(50 * 2020 / 1200)
    assert figures["self-instruct"]["baseline_rows_at_equal_teacher_tokens"] == 50
    assert figures["base"]["baseline_rows_at_equal_teacher_tokens"] == 0
    assert "with the teacher tokens of montessori-2 is not derived but run" in text
    assert "synth: {rows: 110}" in text  # 50 x 2200 / 1000


def test_the_rows_that_the_table_proposes_are_right(project):
    from ruamel.yaml import YAML

    from montessori.commands.check import find_problems

    proposed = write_budgets(project, None).partition("by these rows:")[2]
    raw = read_yaml(project / "params.yaml")
    for section, rows in YAML(typ="safe").load(proposed).items():
        raw[section] |= rows
    assert find_problems(raw, GRAPH, ROOT) == []
    assert raw["datasets"]["self-instruct-more"]["synth"] == {"rows": 110}


def test_what_is_not_known_is_marked_and_never_taken_for_nothing(project):
    (project / "metrics" / "influence" / "montessori-1.json").unlink()
    write_json(project / "metrics/student-sft/montessori-2.json", {"rows": 50, "tokens": 3})
    (project / "metrics" / "runtime" / "synth" / "self-instruct.json").unlink()
    text = write_budgets(project, project / "b.json")
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert " 1600+ " in lines["montessori-1"]
    assert " 1000 " in lines["self-instruct"]  # only its seconds are not known
    assert " 1+ " in lines["self-instruct"]
    assert "such as FLOPs of student-sft montessori-2" in text
    assert cells(text, "self-instruct")["GPU-seconds"] == "0+"
    figures = json.loads((project / "b.json").read_text())
    assert figures["montessori-1"]["baseline_rows_at_equal_teacher_tokens"] is None
    assert figures["montessori-1"]["unknown"] == ["influence montessori-1"]


def test_tokens_that_a_server_does_not_count_are_marked(project):
    write_json(project / "metrics/synth/self-instruct.json", {"tokens": None})
    write_budgets(project, project / "b.json")
    figures = json.loads((project / "b.json").read_text())
    assert figures["self-instruct"]["unknown"] == ["teacher tokens of synth self-instruct"]
    assert figures["self-instruct"]["baseline_rows_at_equal_teacher_tokens"] is None


def test_calls_of_a_judge_count(project):
    raw = read_yaml(project / "params.yaml")
    raw["judge_signals"] = {"j": {"probe": "montessori-1", "judge": "micro/judge.json"}}
    raw["rounds"]["montessori-1"]["scores"] = "judge-signal/j"
    write_json(
        project / "metrics" / "judge-signal" / "j.json", {"judge_calls": 982, "judge_tokens": 5000}
    )
    cost = compute_budgets(read_rows(raw)[0], GRAPH, project / "metrics")["montessori-1"].cost
    assert (cost.judge_calls, cost.judge_tokens) == (982, 5000)
    assert cost.student_flops == 60 * 22  # no warm-up and no influence
    assert cost.unknown == ("seconds of judge-signal j",)


def test_what_nobody_has_is_no_column_of_the_printed_table(project):
    text = write_budgets(project, None)
    assert "judge tokens" not in text
    assert "GPU-seconds" not in text
    assert cells(text, "montessori-1")["judge calls"] == "0"
    values = METRICS["influence/montessori-1"] | {"judge_tokens": 70}
    write_json(project / "metrics" / "influence" / "montessori-1.json", values)
    text = write_budgets(project, None)
    assert [cells(text, run)["judge tokens"] for run in ("base", "montessori-1")] == ["0", "70"]


def test_gpu_seconds_are_those_of_all_devices(project):
    took(project, "influence/montessori-1", seconds=10.0, device_seconds=25.0)  # 5 s on one, 5 on 4
    took(project, "teacher-dpo/montessori-1", seconds=3.0, device_seconds=6.0)
    text = write_budgets(project, project / "b.json")
    assert cells(text, "montessori-1")["seconds"] == "18"  # five further stages of a second
    assert cells(text, "montessori-1")["GPU-seconds"] == "31"
    assert cells(text, "self-instruct")["GPU-seconds"] == "0"
    assert json.loads((project / "b.json").read_text())["montessori-1"]["gpu_seconds"] == 31.0


def test_gpu_seconds_of_an_older_record_are_not_known(project):
    took(project, "influence/montessori-1", seconds=10.0)
    text = write_budgets(project, project / "b.json")
    one = cells(text, "montessori-1")
    assert (one["seconds"], one["GPU-seconds"], one["teacher tokens"]) == ("16", "0+", "1600")
    assert one["baseline rows at its tokens"] == "80"  # all but seconds is known
    figures = json.loads((project / "b.json").read_text())
    assert figures["montessori-1"]["unknown"] == ["GPU-seconds of influence montessori-1"]


def test_a_preference_set_costs_the_examinees_that_took_its_tasks(project):
    raw = merge_mappings(RAW, read_profile(ROOT / "profiles", "arte"))
    raw["tasks"]["others"] = {"source": "data/micro/sources/tasks.json"}
    raw["examinees"]["elsewhere"] = {"model": "models/student", "tasks": "others"}
    names = [name for name in raw["examinees"] if name != "elsewhere"]
    before = compute_budgets(read_rows(raw)[0], GRAPH, project / "metrics")[
        "arte-1"
    ].cost.student_flops
    for name in (*names, "elsewhere"):
        values = {"parameters": 10, "tokens_forward": 5}
        write_json(project / "metrics" / "examinee" / f"{name}.json", values)
        took(project, f"examinee/{name}", seconds=4.0, device_seconds=4.0)
    found = compute_budgets(read_rows(raw)[0], GRAPH, project / "metrics")
    assert names
    assert found["arte-1"].cost.student_flops - before == 2 * 10 * 5 * len(names)
    assert found["arte-1"].cost.gpu_seconds == 4.0 * len(names)
    assert found["arte-0"].cost.gpu_seconds == 0.0  # no preference set


def test_an_empty_section_compare_is_an_error_of_the_users(project):
    text = (project / "params.yaml").read_text()
    start, end = text.index("compare:"), text.index("# ----", text.index("compare:"))
    (project / "params.yaml").write_text(f"{text[:start]}compare:\n\n{text[end:]}")
    with pytest.raises(MontessoriError, match="compare: None is not a mapping") as error:
        write_budgets(project, None)
    assert str(error.value).splitlines()[-1].startswith("next: fix params.yaml")


def test_the_page_names_every_stage_that_is_counted():
    text = (ROOT / "docs" / "explanation" / "costs.md").read_text()
    rows = dict(re.findall(r"^\| ([\w -]+) \| (.*) \|$", text, re.MULTILINE))
    counted = {"teacher tokens": WRITES, "student FLOPs": STUDENT, "teacher FLOPs": TRAINS_TEACHER}
    for column, stages in counted.items():
        assert {stage for stage in stages if f"`{stage}`" not in rows[column]} == set()


def test_every_stage_is_counted_and_one_without_metrics_is_not_free(project):
    """A stage of a new kind costs what its metrics say, without a word of it in costs.py."""
    rows = read_rows(merge_mappings(RAW, read_profile(ROOT / "profiles", "baselines")))[0]
    found = compute_budgets(rows, GRAPH, project / "metrics")
    assert ("mistakes", "llm2llm") in found["llm2llm"].needs
    assert "mistakes llm2llm" in found["llm2llm"].cost.unknown
    assert "seconds of join llm2llm" in found["llm2llm"].cost.unknown
    stages = {stage.kind: stage for stage in GRAPH.stages}
    makers = {kind for budget in found.values() for kind, _ in budget.needs} - set(FREE)
    for kind in {"shuffle", "select"} & makers:
        assert f"seconds of {kind}" in str([budget.cost.unknown for budget in found.values()])
    assert {"answers", "judge", "eval", "leaks-learned", "exam"} & makers == set()
    assert {kind for kind in makers if stages[kind].section is None} == set()
