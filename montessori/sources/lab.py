"""Rows and eval items drawn from the lab's families."""

import random
import re
from collections.abc import Mapping
from typing import Any

from montessori.errors import MontessoriError
from montessori.lab.families import FAMILIES
from montessori.lab.task import Bucket, Task, draw
from montessori.seeding import seed_of
from montessori.sources.recipe import EvalsRecipe, LabRecipe
from montessori.sources.rows import Row

ATTEMPTS = 200  # draws for a task whose content is new
SPLITS: tuple[Bucket, ...] = ("dev", "test")
_LETTER = re.compile(r"^([A-Z])[.)]\s+")


def lab_rows(recipe: LabRecipe, where: str) -> list[Row]:
    """Gold rows of distinct content, families shared out exactly by their weights, then shuffled.

    Raises MontessoriError for an unknown family, or one with too few tasks in the bucket.
    """
    tasks = _draw(recipe.bucket, recipe.rows, recipe.weights, recipe.seed, "rows", where, set())
    return [
        Row(
            turns=tuple(turn.instruction for turn in task.turns),
            responses=tuple(turn.response for turn in task.turns),
            skill=FAMILIES[task.family].subject,
            key=task.key,
            where=f"{where}, row {number}",
        )
        for number, task in enumerate(tasks, 1)
    ]


def lab_items(recipe: EvalsRecipe, where: str) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Eval items by split ("dev", "test") and benchmark; no content occurs twice in a split.

    Raises MontessoriError for an unknown family, or one with too few tasks in a split.
    """
    splits: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for split in SPLITS:
        seen: set[str] = set()
        splits[split] = {}
        for benchmark, count in recipe.items.items():
            weights = recipe.weights[benchmark]
            tasks = _draw(split, count, weights, recipe.seed, benchmark, where, seen)
            splits[split][benchmark] = [
                _item(task, f"{benchmark}-{split}-{number:04d}")
                for number, task in enumerate(tasks)
            ]
    return splits


def content(key: str) -> str:
    """What a task is about, whatever form it is asked in: its key without the form."""
    return key.rpartition("/")[2]


def shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` shared out in whole numbers by weight (largest remainders; ties in given order)."""
    scale = total / sum(weights.values())
    counts = {name: int(weight * scale) for name, weight in weights.items()}
    order = sorted(weights, key=lambda name: counts[name] - weights[name] * scale)
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _draw(
    bucket: Bucket,
    count: int,
    weights: Mapping[str, float],
    seed: int,
    purpose: str,
    where: str,
    seen: set[str],
) -> list[Task]:
    unknown = [name for name in weights if name not in FAMILIES]
    if unknown:
        raise MontessoriError(
            f"unknown families: {', '.join(unknown)}",
            where=where,
            expected=f"among {', '.join(sorted(FAMILIES))}",
            next=f"fix {where}, then dvc repro",
        )
    tasks = []
    for name, share in shares(count, weights).items():
        for index in range(share):
            rng = random.Random(seed_of(seed, "lab", bucket, purpose, name, index))
            tasks.append(_new_task(name, bucket, rng, seen, where))
    random.Random(seed_of(seed, "lab-order", bucket, purpose)).shuffle(tasks)
    return tasks


def _new_task(name: str, bucket: Bucket, rng: random.Random, seen: set[str], where: str) -> Task:
    try:
        for _ in range(ATTEMPTS):
            task = draw(FAMILIES[name], bucket, rng)
            if content(task.key) not in seen:
                seen.add(content(task.key))
                return task
    except LookupError as error:
        reason = str(error)
    else:
        reason = f"the family {name} has no further task in the bucket {bucket}"
    raise MontessoriError(
        reason,
        where=where,
        expected="a smaller weight, or another family",
        next=f"fix {where}, then dvc repro",
    )


def _item(task: Task, item_id: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "item_id": item_id,
        "family": task.family,
        "skill": FAMILIES[task.family].subject,
        "key": task.key,
        "turns": [turn.instruction for turn in task.turns],
        "answers": [turn.answer for turn in task.turns],
        "responses": [turn.response for turn in task.turns],
    }
    if task.choices:
        item |= _choices(task)
    return item


def _choices(task: Task) -> dict[str, Any]:
    """The question line, the options' texts without letters, and the index of the right one."""
    texts = [_LETTER.sub("", choice) for choice in task.choices]
    letter = _LETTER.match(task.turns[0].response)
    if letter is None:
        gold = texts.index(task.turns[0].answer)
    else:
        gold = ord(letter.group(1)) - ord("A")
    return {"question": task.turns[0].instruction.split("\n")[0], "choices": texts, "gold": gold}
