"""The decontamination section, from the metric files of other stages.

What would break: the report is silent about eval items that a filter found, or counts them at the
wrong place.
"""

from pathlib import Path

from montessori.artifacts.files import write_json
from montessori.compare.decontamination import summarize_decontamination

SEED = {
    "evals": {"dev": {"micro_mmlu": 6, "micro_gsm8k": 4}, "test": {"micro_mmlu": 7}},
    "overlaps": 0,
    "seeds": {"rows": 300, "repeated": 2},
    "reference": {"rows": 256},
    "other_reference": {"rows": 255},
}


def test_every_place_is_in_it(tmp_path: Path) -> None:
    write_json(tmp_path / "seed.json", SEED)
    dropped = {"eval item": 7, "response eval item": 2, "duplicate": 90}
    write_json(tmp_path / "synth" / "m-1.json", {"samples": 2200, "dropped": dropped})
    write_json(tmp_path / "synth" / "s-i.json", {"samples": 2100, "dropped": {}})
    write_json(tmp_path / "synth" / "mine.json", {"rows": 50, "kept": 50, "prompts": 9})  # a file
    for kind, name, artifact, found in (
        ("learned", "student", "datasets/m-1", 0),
        ("learned", "student-2", "datasets/m-1", 0),
        ("learned", "m-1", "datasets/mine", 5),
        ("probed", "m-1", "probe/m-1", 3),  # rows of equal names
        ("probed", "icl", "drafts/m-1", 2),
    ):
        counts = {"artifact": artifact, "rows": 50, "eval_items": found, "splits": {"dev": found}}
        write_json(tmp_path / "leaks" / kind / f"{name}.json", counts)
    section = summarize_decontamination(
        tmp_path / "seed.json", tmp_path / "synth", tmp_path / "leaks"
    )
    assert section == {
        "items": {"dev": 10, "test": 7},
        "sources": {
            "overlaps": 0,
            "rows": {"seeds": 300, "reference": 256, "other_reference": 255},
        },
        "written": {
            "m-1": {"samples": 2200, "eval_items": 9},
            "s-i": {"samples": 2100, "eval_items": 0},
        },
        "learned": {
            "m-1": {"rows": 50, "eval_items": 0},
            "mine": {"rows": 50, "eval_items": 5},
        },
        "probed": {
            "drafts/m-1": {"rows": 50, "eval_items": 2},
            "m-1": {"rows": 50, "eval_items": 3},
        },
    }


def test_without_datasets_and_students_there_is_less(tmp_path: Path) -> None:
    write_json(tmp_path / "seed.json", SEED)
    section = summarize_decontamination(
        tmp_path / "seed.json", tmp_path / "none", tmp_path / "none"
    )
    assert (section["written"], section["learned"], section["probed"]) == ({}, {}, {})
