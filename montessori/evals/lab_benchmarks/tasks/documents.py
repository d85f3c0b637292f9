"""Functions that the task files of lm-eval name: they read the items and write out the choices.

The metadata key `items` names the folder of the items, so that a task does not depend on the
working directory: `TaskManager(metadata={"items": "/.../evals/test"})`, or on lm-eval's command
line `--include_path montessori/evals/lab_benchmarks/tasks --tasks micro_gsm8k --metadata '{"items":
...}'`.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

TASKS = Path(str(resources.files(__package__)))  # the folder of the task files
LETTERS = "ABCDEFGHIJ"
COLUMNS = ("item_id", "family", "prompt", "answer", "choices", "gold")


def load_items(items: str, benchmark: str, **metadata: Any) -> dict[str, "Dataset"]:
    """Read the items of one benchmark as {"test": Dataset} with the columns COLUMNS.

    items: folder of <benchmark>.jsonl. prompt and answer are those of the first turn; choices is
    empty and gold -1 for an item without choices.
    """
    from datasets import Dataset

    with open(Path(items) / f"{benchmark}.jsonl", encoding="utf-8") as handle:
        rows = [_document_row(json.loads(line)) for line in handle]
    return {"test": Dataset.from_list(rows)}


def _document_row(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "item_id": item["item_id"],
        "family": item["family"],
        "prompt": item["turns"][0],
        "answer": item["answers"][0],
        "choices": item.get("choices") or [],
        # A column of an Arrow table has one type, so -1 stands for None.
        "gold": -1 if item.get("gold") is None else item["gold"],
    }


def lettered_choices(row: Mapping[str, Any]) -> list[str]:
    """The choices of an item as the model answers them: "A. 12", "B. 14", ..."""
    return add_letters(row["choices"])


def add_letters(choices: Sequence[str]) -> list[str]:
    """Put its letter before each choice."""
    return [f"{LETTERS[index]}. {text}" for index, text in enumerate(choices)]
