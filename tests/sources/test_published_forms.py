"""Files in the forms that others publish: how many rows are kept, dropped, refused and counted.

What would break: a common file is refused as a whole, or read with rows or fields lost unsaid. The
samples are of our own wording, in the forms of LLaMA-Factory's demonstration files (its data folder
and data/README.md), of trl, Alpaca, Dolly and Self-Instruct; published files are read where the
shared folder has them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from montessori.errors import MontessoriError
from montessori.sources.rows.read import read_rows, read_turns
from montessori.sources.rows.settings import ReadingParams

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def said(role: str, text: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


def shared(speaker: str, text: str) -> dict[str, str]:
    return {"from": speaker, "value": text}


def part(role: str, text: str, weight: float) -> dict[str, Any]:
    return said(role, [{"type": "text", "value": text}], loss_weight=weight)


ASK, ANSWER = shared("human", "Name a bird."), shared("gpt", "A wren.")
CALL, SEEN = shared("function_call", '{"name": "look"}'), shared("observation", "a wren")
V1 = [part("user", "Hi.", 0.0), part("assistant", "Hello.", 1.0)]
V1_WORSE = [V1[0], part("assistant", "What?", 1.0)]
ALPACA = {"instruction": "Name a bird.", "input": "", "output": "A wren."}
#: Rows, then how many are kept, and what is counted; more are malformed.
FORMS: dict[str, tuple[Sequence[dict[str, Any]], int, dict[str, Any]]] = {
    "alpaca_en_demo": (
        [ALPACA, ALPACA | {"input": "In a wood."}, ALPACA | {"output": ""}],
        2,
        {"malformed": 1},
    ),
    "alpaca with history": ([ALPACA | {"system": "Be kind.", "history": [["Hi.", "Ho."]]}], 1, {}),
    "identity": ([ALPACA | {"output": "I am {{name}} by {{author}}."}], 1, {}),
    "c4_demo": ([{"text": "A document."}, ALPACA], 1, {"malformed": 1}),
    "glaive_toolcall_en_demo": (
        [
            {"conversations": [ASK, CALL, SEEN, ANSWER], "tools": '[{"name": "look"}]'},
            {"conversations": [ASK, ANSWER], "tools": "[]"},
            {"conversations": [ASK, ANSWER], "tools": '[{"name": "look"}]'},
            {"conversations": [ASK, ANSWER], "system": "Be kind."},
        ],
        2,
        {"malformed": 2},
    ),
    "dpo_en_demo": (
        [{"conversations": [ASK], "chosen": ANSWER, "rejected": shared("gpt", "A stone.")}],
        1,
        {"unused_fields": {"rejected": 1}},
    ),
    "alpaca with answers to choose from": (
        [{"instruction": "Name a bird.", "input": "", "chosen": "A wren.", "rejected": "No."}],
        1,
        {"unused_fields": {"rejected": 1}},
    ),
    "kto_en_demo": (
        [
            {"messages": [said("user", "Hi."), said("assistant", "Ho.")], "label": True},
            {"messages": [said("user", "Hi."), said("assistant", "No.")], "label": False},
        ],
        1,
        {"left_out": {"label false": 1}},
    ),
    "alpaca with kto_tag": (
        [ALPACA | {"kto_tag": True}, ALPACA | {"kto_tag": False}, ALPACA | {"kto_tag": "false"}],
        1,
        {"left_out": {"kto_tag false": 2}},
    ),
    "mllm_demo": (
        [
            {"messages": [said("user", "<image>What is it?"), said("assistant", "A wren.")]}
            | {"images": ["1.jpg"]},
            {"messages": [said("user", "Hi."), said("assistant", "Ho.")], "images": []},
        ],
        1,
        {"malformed": 1},
    ),
    "v1_sft_demo": ([{"messages": V1}] * 2, 2, {"unused_fields": {"messages.loss_weight": 4}}),
    "v1_dpo_demo": (
        [{"chosen_messages": V1, "rejected_messages": V1_WORSE}],
        1,
        {"unused_fields": {"messages.loss_weight": 2, "rejected_messages": 1}},
    ),
    "trl, prompt and completion": (
        [
            {"prompt": "The sky is", "completion": " blue."},
            {"prompt": [said("user", "Hi.")], "completion": [said("assistant", "Ho.")]},
        ],
        2,
        {},
    ),
    "trl, stepwise supervision": (
        [{"prompt": "1 + 1?", "completions": ["2"], "labels": [True]}, ALPACA],
        1,
        {"malformed": 1},
    ),
    "Dolly": (
        [{"instruction": "Who?", "context": "Ada.", "response": "Ada.", "category": "qa"}],
        1,
        {"unused_fields": {"category": 1}},
    ),
    "seed tasks": (
        [
            {"id": "seed_1", "name": "turn", "instruction": "Turn it.", "is_classification": False}
            | {"instances": [{"input": "hot", "output": "cold"}, {"input": "", "output": "up"}]}
        ],
        2,
        {"unused_fields": {"id": 1, "is_classification": 1, "name": 1}},
    ),
}


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_are_kept_dropped_and_counted(form: str, ending: str, tmp_path: Path) -> None:
    rows, kept, facts = FORMS[form]
    file = tmp_path / f"rows.{ending}"
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file.write_text(lines if ending == "jsonl" else json.dumps(rows, indent=1))
    read = read_rows(file, ReadingParams(malformed="drop"))
    assert (len(read.rows), read.facts) == (kept, facts)
    if "malformed" in facts:
        with pytest.raises(MontessoriError, match=f"^{facts['malformed']} malformed row"):
            read_rows(file)


#: Published files: rows kept, rows without an answer, fields that are not used.
PUBLISHED = {
    "alpaca/alpagasus_random_9k.json": (9225, 4, ()),
    "alpaca/seed_tasks.jsonl": (175, 0, ("id", "is_classification", "name")),
    "dolly/dolly_hhrlhf_train_small.jsonl": (1000, 0, ()),
    "self_instruct/user_oriented_instructions.jsonl": (252, 0, ("id", "motivation_app")),
    "self_instruct/text-davinci-003_predictions.jsonl": (252, 0, ("target",)),
    "alpaca_eval/results/alpaca-7b/model_outputs.json": (805, 0, ("dataset", "generator")),
    "montessori_reference/alpaca_eval_gpt4_1106_preview/data-00000-of-00001.arrow": (256, 0, ()),
    "gsm8k/test.jsonl": (1319, 0, ()),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_whole(name: str) -> None:
    file = SHARED / name
    if not file.is_file():
        pytest.skip("the shared folder is absent")
    kept, malformed, unused = PUBLISHED[name]
    read = read_rows(file, ReadingParams(malformed="drop"))
    assert (len(read.rows), read.facts.get("malformed", 0)) == (kept, malformed)
    assert read.facts.get("unused_fields", {}) == dict.fromkeys(unused, kept)
    assert len(read_turns(file)) == kept + malformed
