"""The card of a lab base model: what it was trained on and how well it does, per family."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from montessori.artifacts.files import write_json
from montessori.lab.families import FAMILIES
from montessori.lab.grader import grade_responses
from montessori.lab.task import Bucket, Family, Task, draw_task
from montessori.lab_models.documents import dialogue_of, plain_question
from montessori.seeding import seed_of

ITEMS = 50
GOLD = "{response}"


def _greedy_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str]
) -> list[str]:
    """Continue the prompts greedily by up to 64 new tokens."""
    texts: list[str] = []
    for start in range(0, len(prompts), 100):
        batch = tokenizer(
            list(prompts[start : start + 100]),
            return_tensors="pt",
            padding=True,
            add_special_tokens=False,
            return_token_type_ids=False,
        )
        with torch.no_grad():
            out = model.generate(**batch, max_new_tokens=64, do_sample=False)
        # The tokenizer pads on the left, so every continuation begins in the same column.
        new = out[:, batch["input_ids"].shape[1] :]
        texts += tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


def _chat_prompt(tokenizer: PreTrainedTokenizerFast, task: Task, turn: int) -> str:
    """The dialogue up to user turn `turn`, earlier answers being the gold ones."""
    messages = dialogue_of(task)[: 2 * turn + 1]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _plain_prompt(task: Task, examples: Sequence[Task]) -> str:
    """Write solved examples in the gold convention, then the task's first question."""
    solved = []
    for example in examples:
        solved += [plain_question(turn, GOLD) for turn in example.turns]
    return "".join([*solved, f"Question: {task.turns[0].instruction}\nAnswer:"])


def _share_right(tasks: Sequence[Task], turn: int, answers: Sequence[str]) -> float:
    """Share of right answers to turn `turn`, in percent; the gold answers fill other turns."""
    right = 0
    for task, answer in zip(tasks, answers, strict=True):
        responses = [t.response for t in task.turns]
        # A student's documents end an answer with an empty line; what follows is a question of its
        # own.
        responses[turn] = answer.split("\n\n")[0].strip()
        right += grade_responses(task, responses).correct[turn]
    return round(100 * right / len(tasks), 1)


def measure_accuracies(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, role: str
) -> dict[str, dict[str, float]]:
    """Measure accuracy in percent on unseen items by family.

    A teacher has a column for each turn, a student one for each number of examples.
    """
    table: dict[str, dict[str, float]] = {}
    for name, family in FAMILIES.items():
        rng = random.Random(seed_of(0, "card", name))
        # Families that are only trained on have no other bucket.
        bucket: Bucket = "dev" if family.evaluated else "train"
        tasks = [draw_task(family, bucket, rng) for _ in range(ITEMS)]
        if role == "teacher":
            table[name] = _accuracy_by_turn(model, tokenizer, tasks)
        else:
            table[name] = _accuracy_by_examples(model, tokenizer, tasks, family, rng)
    return table


def _accuracy_by_turn(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, tasks: Sequence[Task]
) -> dict[str, float]:
    """A chat model's accuracy on each user turn of the tasks."""
    row = {}
    for turn in range(len(tasks[0].turns)):
        prompts = [_chat_prompt(tokenizer, task, turn) for task in tasks]
        answers = _greedy_answers(model, tokenizer, prompts)
        row[f"turn {turn + 1}"] = _share_right(tasks, turn, answers)
    return row


def _accuracy_by_examples(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tasks: Sequence[Task],
    family: Family,
    rng: random.Random,
) -> dict[str, float]:
    """A plain language model's accuracy on first turns after 0, 1 and 3 solved examples."""
    row = {}
    for count in (0, 1, 3):
        prompts = []
        for task in tasks:
            examples = [draw_task(family, "train", rng) for _ in range(count)]
            prompts.append(_plain_prompt(task, examples))
        answers = _greedy_answers(model, tokenizer, prompts)
        row[f"{count} examples"] = _share_right(tasks, 0, answers)
    return row


def _card_markdown(
    name: str, role: str, facts: dict[str, Any], table: dict[str, dict[str, float]]
) -> str:
    columns: list[str] = []
    for row in table.values():
        columns += [column for column in row if column not in columns]
    lines = []
    for family, row in table.items():
        cells = [str(row.get(column, "")) for column in columns]
        lines.append(f"| {family} | {' | '.join(cells)} |")
    means = []
    for column in columns:
        values = [row[column] for row in table.values() if column in row]
        means.append(round(sum(values) / len(values), 1))
    return "\n".join(
        [
            f"# {name}: a {role} of the Montessori lab",
            "",
            "Trained from scratch by `make micro-base`, on documents of "
            f"the lab's {len(FAMILIES)} task families and nothing else "
            "(`montessori/lab_models/documents.py`); only instances of the `train` bucket. "
            "It knows the lab's world, no other.",
            "",
            "| fact | value |",
            "|---|---|",
            *[f"| {key} | {value} |" for key, value in facts.items()],
            "",
            f"Greedy accuracy in percent, {ITEMS} unseen instances a family "
            "(families without a held-out bucket: instances of `train`).",
            "",
            "| family | " + " | ".join(columns) + " |",
            "|---|" + "---|" * len(columns),
            *lines,
            "| **mean** | " + " | ".join(map(str, means)) + " |",
            "",
        ]
    )


def write_card(
    folder: Path,
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    role: str,
    phases: Sequence[dict[str, Any]],
) -> None:
    """Write `README.md` and `card.json` beside the weights.

    `phases` are the recipe of each training phase with what came of it.
    """
    facts: dict[str, Any] = {
        "architecture": type(model).__name__,
        "parameters": model.num_parameters(),
        "vocabulary": len(tokenizer),
    }
    for number, phase in enumerate(phases, 1):
        facts |= {
            f"phase {number}, {key.replace('_', ' ')}": round(value, 4)
            for key, value in phase.items()
            if key != "pool"
        }
    table = measure_accuracies(model, tokenizer, role)
    write_json(folder / "card.json", {"facts": facts, "accuracy": table})
    (folder / "README.md").write_text(_card_markdown(name, role, facts, table), encoding="utf-8")
