"""Small eval sets in the project's item format."""

import json
from pathlib import Path
from typing import Any

import pytest


def item(benchmark: str, number: int, turns: list[tuple[str, str, str]], **more: Any) -> dict:
    """One item; each turn is (question, gold response, canonical answer)."""
    return {
        "item_id": f"{benchmark}-{number:02d}",
        "family": "add",
        "skill": "arithmetic",
        "key": f"add|{number}",
        "turns": [turn[0] for turn in turns],
        "responses": [turn[1] for turn in turns],
        "answers": [turn[2] for turn in turns],
        **more,
    }


def question(a: int, b: int) -> tuple[str, str, str]:
    return f"What is {a} plus {b}?", str(a + b), str(a + b)


def story(a: int, b: int) -> tuple[str, str, str]:
    text = f"Tom has {a} apples. He buys {b} more. How many apples does he have?"
    return text, f"{a} + {b} = {a + b}\n#### {a + b}", str(a + b)


def choice(number: int) -> dict:
    gold = number % 4
    texts = [str(number + 20 + shift) for shift in range(4)]
    lines = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", texts, strict=True))
    answer = f"{'ABCD'[gold]}. {texts[gold]}"
    turn = (f"What is {number} plus {20 + gold}?\n{lines}", answer, "ABCD"[gold])
    family = "choice_units" if number % 3 else "choice_stories"
    return item("micro_mmlu", number, [turn], choices=texts, gold=gold) | {"family": family}


def make_evals(root: Path, items: int = 12) -> Path:
    """Write dev and test sets of all four benchmarks with `items` items each; return `root`."""
    sets = {
        "micro_mmlu": [choice(n) for n in range(items)],
        "micro_gsm8k": [item("micro_gsm8k", n, [story(n, 7)]) for n in range(items)],
        "micro_alpaca_eval": [item("micro_alpaca_eval", n, [question(n, 5)]) for n in range(items)],
        "micro_mt_bench": [
            item("micro_mt_bench", n, [question(n, 9), ("Now add 3.", str(n + 12), str(n + 12))])
            for n in range(items)
        ],
    }
    for split in ("dev", "test"):
        (root / split).mkdir(parents=True)
        for name, rows in sets.items():
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (root / split / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    return make_evals(tmp_path / "evals")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny_models import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny", seed=3)
