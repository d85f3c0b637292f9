"""Eval items as files: order, keys, malformed lines.

What would break: a malformed item is skipped in silence, so runs are compared on fewer items than
the table says.
"""

import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.evals.items import (
    BENCHMARKS,
    CLOSED,
    OPEN,
    items_path,
    present_benchmarks,
    read_items,
)
from tests.evals.judge_case import public_evals
from tests.evals.published_case import alpaca_items, turn_items, write_items


def test_items_come_in_the_order_of_the_file(evals: Path) -> None:
    for name in BENCHMARKS:
        items = read_items(evals, "test", name)
        assert [item.item_id for item in items] == [f"{name}-{n:02d}" for n in range(12)]
    item = read_items(evals, "dev", "micro_mmlu")[5]
    assert (item.gold, item.choices[item.gold], item.answers) == (1, "26", ("B",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turns": []}, "'turns' is not a list of texts"),
        ({"answers": ["1", "2"]}, "differ in number"),
        ({"key": 3}, "'key' is not a text"),
        ({"difficulty": "hard"}, "'difficulty' is not a number"),
        ({"gold": 4}, "index into them"),
        ({"choices": None}, "index into them"),
    ],
)
def test_a_malformed_item_is_named_with_its_line(evals: Path, change: dict, message: str) -> None:
    path = items_path(evals, "test", "micro_mmlu")
    lines = path.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]) | change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(MontessoriError, match=message) as caught:
        read_items(evals, "test", "micro_mmlu")
    assert caught.value.where.endswith("micro_mmlu.jsonl:3")
    assert caught.value.next


def test_other_bad_files(evals: Path) -> None:
    path = items_path(evals, "test", "micro_gsm8k")
    first = path.read_text().splitlines()[0]
    for text, message in [
        ("", "no items"),
        (first + "\n{\n", "not a JSON object"),
        (first + "\n" + first + "\n", "occurs twice"),
        ("[1]\n", "not a mapping"),
    ]:
        path.write_text(text)
        with pytest.raises(MontessoriError, match=message):
            read_items(evals, "test", "micro_gsm8k")
    path.unlink()
    with pytest.raises(MontessoriError, match="missing"):
        read_items(evals, "test", "micro_gsm8k")


def test_benchmarks_are_those_whose_items_are_there(evals: Path, tmp_path: Path) -> None:
    assert present_benchmarks(evals, "test", OPEN) == ("micro_alpaca_eval", "micro_mt_bench")
    assert present_benchmarks(evals, "test", CLOSED) == ("micro_mmlu", "micro_gsm8k")
    items_path(evals, "test", "micro_mmlu").unlink()
    assert present_benchmarks(evals, "test", CLOSED) == ("micro_gsm8k",)
    public = public_evals(tmp_path / "public")
    assert present_benchmarks(public, "dev", OPEN) == ("alpaca_eval", "mt_bench")
    assert present_benchmarks(public, "dev", CLOSED) == ()
    with pytest.raises(MontessoriError, match="no items of any benchmark"):
        present_benchmarks(public, "test", OPEN)


def test_public_items_have_no_key(tmp_path: Path) -> None:
    item = read_items(public_evals(tmp_path / "public"), "dev", "mt_bench")[1]
    assert (item.key, item.family, item.difficulty) == ("", "math", None)
    assert item.responses == ("gold 1", "more gold 1")


def test_the_published_benchmarks_are_items(tmp_path: Path) -> None:
    evals = write_items(tmp_path / "evals", alpaca_eval=alpaca_items(), mt_bench=turn_items())
    alpaca = read_items(evals, "dev", "alpaca_eval")
    assert len(alpaca) == 805
    assert all(item.difficulty is not None and item.responses[0] for item in alpaca)
    turns = read_items(evals, "dev", "mt_bench")
    gold = {item.family for item in turns if any(item.responses)}
    assert (len(turns), gold) == (80, {"math", "reasoning", "coding"})
