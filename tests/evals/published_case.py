"""The published benchmarks as items, in a temporary folder, where the shared folder is there."""

import csv
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
REFERENCE = "alpaca_eval/results/gpt4_1106_preview/model_outputs.json"


def shared() -> Path:
    """The shared folder; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder with the published benchmarks is absent")
    return SHARED


def read_lines(path: Path) -> list[dict]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def difficulties() -> list[float]:
    """AlpacaEval's difficulty of each instruction, in the order of the reference outputs."""
    path = shared() / "alpaca_eval" / "derived" / "instruction_difficulty_recovered.csv"
    with open(path, encoding="utf-8") as handle:
        return [float(row["instruction_difficulty"]) for row in csv.DictReader(handle)]


def alpaca_items(difficulty: bool = True) -> list[dict]:
    """The 805 prompts with the reference's outputs."""
    known = difficulties() if difficulty else []
    rows = json.loads((shared() / REFERENCE).read_text(encoding="utf-8"))
    return [
        {
            "item_id": f"alpaca_eval-{n:04d}",
            "family": row["dataset"],
            "turns": [row["instruction"]],
            "answers": [""],
            "responses": [row["output"]],
            **({"difficulty": known[n]} if difficulty else {}),
        }
        for n, row in enumerate(rows)
    ]


def turn_items() -> list[dict]:
    """The 80 two-turn questions with GPT-4's answers to those that have them."""
    folder = shared() / "mt_bench"
    gold = {
        row["question_id"]: row["choices"][0]["turns"]
        for row in read_lines(folder / "reference_answer" / "gpt-4.jsonl")
    }
    return [
        {
            "item_id": f"mt_bench-{row['question_id']}",
            "family": row["category"],
            "turns": row["turns"],
            "answers": ["", ""],
            "responses": gold.get(row["question_id"], ["", ""]),
        }
        for row in read_lines(folder / "question.jsonl")
    ]


def write_items(root: Path, **sets: list[dict]) -> Path:
    """Items of some benchmarks in split dev of an eval folder."""
    (root / "dev").mkdir(parents=True)
    for name, rows in sets.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (root / "dev" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return root


def published_prompts(root: Path) -> Path:
    """A folder with links to AlpacaEval's and FastChat's judge prompts."""
    root.mkdir()
    files = ("alpaca_eval/prompts/alpaca_eval_clf.txt", "mt_bench/judge_prompts.jsonl")
    for file in files:
        (root / Path(file).name).symlink_to(shared() / file)
    return root
