"""Rows and eval items drawn from the families of a world, as a recipe says."""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from montessori.errors import MontessoriError
from montessori.seeding import seed_of
from montessori.sources.recipe import EvalsRecipe, LabRecipe
from montessori.sources.rows.row import Row
from montessori.worlds import Bucket, Task, World, content_of, open_world

ATTEMPTS = 200  # draws for a task whose content is new
SPLITS: tuple[Bucket, ...] = ("dev", "test")
_LETTER = re.compile(r"^([A-Z])[.)]\s+")


def draw_rows(recipe: LabRecipe, where: str) -> list[Row]:
    """Gold rows of distinct content, families shared out exactly by their weights, then shuffled.

    Raises MontessoriError for a world that is not installed, an unknown family, or one with too few
    tasks in the bucket.
    """
    order = Order(recipe.kind, recipe.seed, where)
    tasks = _draw_tasks(order, recipe.bucket, recipe.rows, recipe.weights, "rows", set())
    return [
        Row(
            turns=tuple(turn.instruction for turn in task.turns),
            responses=tuple(turn.response for turn in task.turns),
            skill=task.skill,
            key=task.key,
            where=f"{where}, row {number}",
        )
        for number, task in enumerate(tasks, 1)
    ]


def draw_items(recipe: EvalsRecipe, where: str) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Eval items by split ("dev", "test") and benchmark; no content occurs twice in a split.

    Raises MontessoriError for a world that is not installed, an unknown family, or one with too few
    tasks in a split.
    """
    # The recipe of kind `lab-evals` draws from the world `lab`.
    order = Order(recipe.kind.removesuffix("-evals"), recipe.seed, where)
    splits: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for split in SPLITS:
        # One set for all benchmarks of a split, so that no content occurs in two of them.
        seen: set[str] = set()
        splits[split] = {}
        for benchmark, count in recipe.items.items():
            weights = recipe.weights[benchmark]
            tasks = _draw_tasks(order, split, count, weights, benchmark, seen)
            splits[split][benchmark] = [
                _make_item(task, f"{benchmark}-{split}-{number:04d}")
                for number, task in enumerate(tasks)
            ]
    return splits


def share_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` shared out in whole numbers by weight (largest remainders; ties in given order)."""
    scale = total / sum(weights.values())
    counts = {name: int(weight * scale) for name, weight in weights.items()}
    # Most negative first: the largest remainder. `sorted` is stable, so ties keep their order.
    order = sorted(weights, key=lambda name: counts[name] - weights[name] * scale)
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def find_unknown_families(names: Iterable[str], world: str = "lab") -> dict[str, str]:
    """What is wrong with each name that is no family of a world.

    Raises MontessoriError for a world that is not installed.
    """
    known = open_world(world, "a recipe").families()
    unknown = [name for name in names if name not in known]
    close = {name: get_close_matches(name, known, 3) or sorted(known) for name in unknown}
    return {name: f"no family of the {world}; it has {', '.join(close[name])}" for name in unknown}


@dataclass(frozen=True)
class Order:
    """From which world tasks are drawn, by which seed, and the recipe that asks for them."""

    world: str
    seed: int
    where: str


def _draw_tasks(
    order: Order,
    bucket: Bucket,
    count: int,
    weights: Mapping[str, float],
    purpose: str,
    seen: set[str],
) -> list[Task]:
    world = open_world(order.world, order.where)
    families = world.families()
    unknown = [name for name in weights if name not in families]
    if unknown:
        raise MontessoriError(
            f"unknown families: {', '.join(unknown)}",
            where=order.where,
            expected=f"among {', '.join(sorted(families))}",
            next=f"fix {order.where}, then dvc repro",
        )
    tasks = []
    for name, share in share_out(count, weights).items():
        for index in range(share):
            # A generator for each task, so that a larger share of one family leaves the draws of
            # the others alone.
            rng = random.Random(seed_of(order.seed, order.world, bucket, purpose, name, index))
            tasks.append(_new_task(world, name, bucket, rng, seen, order.where))
    # The tasks lie family by family until here.
    shuffler = random.Random(seed_of(order.seed, f"{order.world}-order", bucket, purpose))
    shuffler.shuffle(tasks)
    return tasks


def _new_task(
    world: World, name: str, bucket: Bucket, rng: random.Random, seen: set[str], where: str
) -> Task:
    try:
        for _ in range(ATTEMPTS):
            task = world.draw_task(name, bucket, rng)
            if content_of(task.key) not in seen:
                seen.add(content_of(task.key))
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


def _make_item(task: Task, item_id: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "item_id": item_id,
        "family": task.family,
        "skill": task.skill,
        "key": task.key,
        "turns": [turn.instruction for turn in task.turns],
        "answers": [turn.answer for turn in task.turns],
        "responses": [turn.response for turn in task.turns],
    }
    if task.choices:
        item |= _split_choices(task)
    return item


def _split_choices(task: Task) -> dict[str, Any]:
    """The question line, the options' texts without letters, and the index of the right one."""
    texts = [_LETTER.sub("", choice) for choice in task.choices]
    letter = _LETTER.match(task.turns[0].response)
    if letter is None:
        gold = texts.index(task.turns[0].answer)
    else:
        gold = ord(letter.group(1)) - ord("A")
    return {"question": task.turns[0].instruction.split("\n")[0], "choices": texts, "gold": gold}
