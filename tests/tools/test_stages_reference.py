"""The reference of the stages, made from dvc.yaml.

What would break: the page lacks a stage, or says that it reads something else than it does.
"""

import re
from pathlib import Path

from stages_reference import describe_stages

from montessori.graph.stages import read_graph

ROOT = Path(__file__).parents[2]
GRAPH = read_graph(ROOT)
PARTS = dict(
    re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", describe_stages(), re.DOTALL | re.MULTILINE)
)


def test_every_stage_has_a_part_in_the_order_of_the_graph():
    assert list(PARTS) == [stage.kind for stage in GRAPH.stages]


def test_a_part_says_what_a_stage_does_reads_and_writes():
    text = PARTS["teacher-dpo"]
    assert next(stage.desc for stage in GRAPH.stages if stage.kind == "teacher-dpo") in text
    assert "Runs once for each row of [`rounds`](params.md#rounds)." in text
    assert "- script: `stages/teacher_dpo.py`" in text
    assert (
        "- reads: `data/START`, `data/prefs/NAME` (of [prefs](#prefs) or [align](#align))" in text
    )
    assert "`data/teachers/NAME`, `metrics/teacher-dpo/NAME.json`" in text
    assert "- settings: `seed`, [`teacher_dpo`](params.md#teacher_dpo)" in text
    assert "Runs once.\n" in PARTS["seed"]


def test_links_lead_to_parts_and_to_sections_of_the_params_page():
    params = (ROOT / "docs/reference/params.md").read_text()
    for part in PARTS.values():
        assert set(re.findall(r"\(#([\w-]+)\)", part)) <= set(PARTS)
        sections = re.findall(r"\(params\.md#(\w+)\)", part)
        assert [name for name in sections if f"\n## {name}\n" not in params] == []
