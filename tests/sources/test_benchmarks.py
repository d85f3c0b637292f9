"""A folder of public benchmarks becomes eval items that no source may share anything with.

What would break: training data hold items of a public benchmark, or a benchmark is read without
some of its items.
"""

import json
from pathlib import Path

import datasets
import pyarrow.ipc
import pytest

from montessori.artifacts.dialogue import build_dialogue
from montessori.errors import MontessoriError
from montessori.evals.items import gamed_path, read_items
from montessori.filters.contamination import EvalItems
from montessori.filters.eval_items import is_eval_item, read_evals
from montessori.sources.benchmarks import public_items
from montessori.sources.rows.settings import ReadingParams
from montessori.sources.seed import load_items, prepare_sources

SHARED = Path(__file__).parents[3] / "shared" / "data"
RELEASED = SHARED / "montessori_reference" / "alpaca_eval_gpt4_1106_preview"
REAL = {
    "mmlu": 14042,
    "gsm8k": 1319,
    "arc_challenge": 1172,
    "bbh": 6511,
    "alpaca_eval": 805,
    "mt_bench": 80,
}
needs_real = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared folder is absent")

LONG = "A train leaves the town at nine and drives sixty miles in an hour, how far by noon?"
OPENING = "Write a short poem on rain."


def write(path: Path, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One item of each benchmark that is published as files, and two of one's own."""
    path = tmp_path / "benchmarks"
    subject = path / "mmlu" / "test" / "anatomy_test.csv"
    subject.parent.mkdir(parents=True)
    subject.write_text('"Which bone, ""the"" one?",a,b,c,d,2\n', encoding="utf-8")
    write(path / "gsm8k" / "test.jsonl", {"question": LONG, "answer": "#### 180"})
    write(
        path / "arc" / "llmfoundry_arc_challenge.jsonl",
        {"query": "Question: Why?", "choices": ["x", "y", "z"], "gold": 2},
    )
    bbh = path / "bbh" / "data" / "navigate.json"
    bbh.parent.mkdir(parents=True)
    bbh.write_text(json.dumps({"examples": [{"input": "Turn left.", "target": "Yes"}]}))
    alpaca = path / "alpaca_eval" / "alpaca_eval_gpt4_baseline.json"
    alpaca.parent.mkdir()
    alpaca.write_text(json.dumps([{"dataset": "koala", "instruction": "Say hi.", "output": "Hi!"}]))
    write(
        path / "mt_bench" / "question.jsonl",
        {"question_id": 81, "category": "writing", "turns": [OPENING, "Now shorter."]},
        {"question_id": 111, "category": "math", "turns": ["2 + 2?", "Twice that?"]},
    )
    write(
        path / "mt_bench" / "reference_answer" / "gpt-4.jsonl",
        {"question_id": 111, "choices": [{"turns": ["4", "8"]}]},
    )
    write(
        path / "exam.jsonl",
        {"instruction": "Name a river."},
        {
            "messages": [
                {"role": "user", "content": "Name a lake."},
                {"role": "assistant", "content": "Erie."},
            ]
        },
    )
    return path


def test_every_benchmark_of_a_folder_becomes_items(folder: Path) -> None:
    found = public_items(folder).items
    turns = {name: [item["turns"] for item in items] for name, items in found.items()}
    assert turns == {
        "mmlu": [['Which bone, "the" one?\nA. a\nB. b\nC. c\nD. d']],
        "gsm8k": [[LONG]],
        "arc_challenge": [["Why?\nA. x\nB. y\nC. z"]],
        "bbh": [["Turn left."]],
        "alpaca_eval": [["Say hi."]],
        "mt_bench": [[OPENING, "Now shorter."], ["2 + 2?", "Twice that?"]],
        "exam": [["Name a river."], ["Name a lake."]],
    }
    assert found["mmlu"][0]["item_id"] == "mmlu-anatomy-0"
    assert found["gsm8k"][0]["item_id"] == "gsm8k-0"
    assert found["alpaca_eval"][0] | {"turns": 0} == {
        "item_id": "alpaca_eval-0000",
        "family": "koala",
        "turns": 0,
        "answers": [""],
        "responses": ["Hi!"],
    }
    assert [item["responses"] for item in found["mt_bench"]] == [["", ""], ["4", "8"]]
    assert load_items(folder) == ({"test": found}, {})
    assert load_items(folder / "exam.jsonl") == ({"test": {"exam": found["exam"]}}, {})


def test_items_that_are_not_read_as_they_stand_are_counted(folder: Path) -> None:
    write(folder / "exam.jsonl", {"instruction": 7, "source": "x"}, {"instruction": None})
    read = public_items(folder, ReadingParams(malformed="drop"))
    counts = {"malformed": 1, "numbers_as_text": 1, "unused_fields": {"source": 1}}
    assert read.facts == {"exam": counts}
    assert [item["turns"] for item in read.items["exam"]] == [["7"]]
    assert load_items(folder / "exam.jsonl", ReadingParams(malformed="drop"))[1] == read.facts


def test_difficulties_belong_to_the_instructions(folder: Path) -> None:
    file = folder / "alpaca_eval" / "df_gamed.csv"
    file.write_text("index,instruction_difficulty\n0,-1.5\n0,-1.5\n")
    assert public_items(folder).items["alpaca_eval"][0]["difficulty"] == -1.5
    file.write_text("index,instruction_difficulty\n0,-1.5\n1,0.5\n")
    with pytest.raises(MontessoriError, match="2 difficulties for 1 instructions"):
        public_items(folder)


def test_the_table_of_gamed_answers_goes_with_the_items(folder: Path, tmp_path: Path) -> None:
    for name in ("seeds", "reference", "other"):
        write(tmp_path / f"{name}.jsonl", {"instruction": f"Spell {name}.", "response": "x"})
    sources = {
        "seeds": tmp_path / "seeds.jsonl",
        "reference": tmp_path / "reference.jsonl",
        "other_reference": tmp_path / "other.jsonl",
    }
    outs = {name: tmp_path / "out" / name for name in sources}
    gamed, evals = folder / "alpaca_eval" / "df_gamed.csv", tmp_path / "evals"
    gamed.write_text(",preference,std_delta_len,instruction_difficulty\n0,0.5,1.0,-1.5\n")
    prepare_sources(sources, folder, outs, evals, 13)
    assert gamed_path(evals, "test").read_bytes() == gamed.read_bytes()
    assert read_items(evals, "test", "alpaca_eval")[0].difficulty == -1.5
    gamed.write_text(",std_delta_len,instruction_difficulty\n0,1.0,-1.5\n")
    with pytest.raises(MontessoriError, match="no numbers, or not in every row: preference"):
        prepare_sources(sources, folder, outs, tmp_path / "again", 13)
    assert not (tmp_path / "again").exists()


def test_copies_of_hub_data_sets_are_read(tmp_path: Path) -> None:
    copy = tmp_path / "openai" / "gsm8k" / "main"
    copy.mkdir(parents=True)
    rows = datasets.Dataset.from_list([{"question": "From the copy?", "answer": "#### 1"}])
    rows.to_parquet(copy / "test-00000-of-00001.parquet")
    (tmp_path / "gsm8k").mkdir()
    write(tmp_path / "gsm8k" / "test.jsonl", {"question": "Published?", "answer": "#### 2"})
    assert [item["turns"] for item in public_items(tmp_path).items["gsm8k"]] == [["From the copy?"]]


def test_a_folder_without_benchmarks_and_a_broken_file_are_errors(folder: Path) -> None:
    with pytest.raises(MontessoriError, match="holds no benchmark"):
        public_items(folder / "mmlu")
    write(folder / "gsm8k.jsonl", {"instruction": "Mine?"})
    with pytest.raises(MontessoriError, match="two sets of items are called gsm8k"):
        public_items(folder)
    (folder / "gsm8k.jsonl").unlink()
    write(folder / "gsm8k" / "test.jsonl", {"query": "?"})
    with pytest.raises(MontessoriError, match="line 1: question is missing"):
        public_items(folder)


@pytest.mark.parametrize(
    ("instruction", "response", "item"),
    [
        (f"Solve this: {LONG} Be brief.", "180", "gsm8k-0"),
        ("Tell a story.", f"Once: {LONG}", "gsm8k-0"),
        ("turn LEFT", "Yes", "bbh-navigate-0"),
        ('Which bone, "the" one?\nA. a\nB. b\nC. c\nD. d', "C", "mmlu-anatomy-0"),
        (OPENING, "Drip.", "mt_bench-81"),
        ("Name a river", "Nile", "exam-1"),
    ],
)
def test_an_item_among_the_seeds_is_an_error_and_is_dropped_elsewhere(
    folder: Path, tmp_path: Path, instruction: str, response: str, item: str
) -> None:
    row = {"instruction": instruction, "response": response}
    write(tmp_path / "seeds.jsonl", {"instruction": "Count to 3.", "response": "1 2 3"}, row)
    write(tmp_path / "reference.jsonl", {"instruction": "Spell cat.", "response": "c a t"})
    write(tmp_path / "other.jsonl", {"instruction": "Spell dog.", "response": "d o g"})
    sources = {
        "seeds": tmp_path / "seeds.jsonl",
        "reference": tmp_path / "reference.jsonl",
        "other_reference": tmp_path / "other.jsonl",
    }
    outs = {name: tmp_path / "out" / name for name in sources}
    evals = tmp_path / "out" / "evals"
    with pytest.raises(MontessoriError, match="1 of the seed pool are in the test items") as error:
        prepare_sources(sources, folder, outs, evals, 13)
    assert f"line 2 = {item}" in str(error.value)
    assert not evals.exists()

    write(tmp_path / "seeds.jsonl", {"instruction": "Count to 3.", "response": "1 2 3"})
    metrics = prepare_sources(sources, folder, outs, evals, 13)
    assert metrics["evals"]["test"]["mt_bench"] == 2
    items, keys = read_evals(evals, 13)
    assert is_eval_item(build_dialogue([instruction], [response]), items, keys)
    assert not is_eval_item(build_dialogue(["Count to 4."], ["1 2 3 4"]), items, keys)


@needs_real
def test_the_real_benchmarks_are_read_whole() -> None:
    found = public_items(SHARED).items
    assert {name: len(items) for name, items in found.items()} == REAL
    names = [item["item_id"] for items in found.values() for item in items]
    assert len(set(names)) == len(names)
    assert sum(any(item["responses"]) for item in found["mt_bench"]) == 30
    assert all(item["responses"][0] for item in found["alpaca_eval"])
    assert found["alpaca_eval"][2]["difficulty"] == -1.3562125  # of the published order


@needs_real
def test_the_reference_set_released_with_the_method_is_all_test_items() -> None:
    items = EvalItems(13)
    for item in public_items(SHARED).items["alpaca_eval"]:
        items.add(item["item_id"], item["turns"])
    with pyarrow.ipc.open_stream(str(RELEASED / "data-00000-of-00001.arrow")) as reader:
        rows = reader.read_all().to_pylist()
    assert len(rows) == 256
    assert all(items.matched_by([row["instruction"]]) for row in rows)
