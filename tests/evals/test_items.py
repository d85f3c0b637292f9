import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.evals.items import BENCHMARKS, items_path, read_items


def test_items_come_in_the_order_of_the_file(evals: Path) -> None:
    for name in BENCHMARKS:
        items = read_items(evals, "test", name)
        assert [item.item_id for item in items] == [f"{name}-{n:02d}" for n in range(12)]
    item = read_items(evals, "dev", "micro_mmlu")[5]
    assert (item.gold, item.choices[item.gold], item.answers) == (1, "26", ("B",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turns": []}, "'turns' is no list of texts"),
        ({"answers": ["1", "2"]}, "differ in number"),
        ({"key": 3}, "'key' is no text"),
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
