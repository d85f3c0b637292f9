"""Looks whether each item of an lm-eval task has a right answer, before a model is loaded.

lm-eval counts an item whose answer is null, or is none of the choices, as one that every model gets
wrong.
"""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from montessori.errors import MontessoriError
from montessori.sources.local_data import LocalData

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

#: A template that is one field of the item, or ends with one: `{{answer}}`, `#### {{answer}}`.
_FIELD = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def require_answers(tasks: Mapping[str, Any], data: LocalData) -> None:
    """Raise MontessoriError, with task and item, for the first item without a right answer."""
    from lm_eval.api.task import ConfigurableTask

    for name, task in tasks.items():
        if not isinstance(task, ConfigurableTask):
            continue  # a task that is written in Python reads its items in its own way
        for number, item in enumerate(task.eval_docs):
            problem = _find_problem(task, item)
            if problem:
                raise MontessoriError(
                    f"{name}: item {number} {problem}",
                    where=str(data.folder / str(task.config.dataset_path)),
                    expected="a right answer to each item that is asked",
                    next="fetch the data set again, or take the item out of the copy",
                )


def _find_problem(task: "ConfigurableTask", item: Mapping[str, Any]) -> str | None:
    """What is wrong with the answer of an item, or None."""
    target = task.config.doc_to_target
    fields = [target] if target in item else _FIELD.findall(target) if _is_text(target) else []
    missing = [name for name in fields if name in item and _is_null(item[name])]
    if missing:
        return f"has no {missing[0]}"
    if task.OUTPUT_TYPE != "multiple_choice" or task.multiple_input:
        return None
    try:
        choices, gold = task.doc_to_choice(item), task.doc_to_target(item)
    except (ValueError, KeyError, IndexError, TypeError, TemplateError) as error:
        return f"has no right answer among its choices ({error})"
    right = gold if isinstance(gold, list) else [gold]
    if all(_is_choice(each, choices) for each in right):
        return None
    return f"has the answer {gold!r}, which is none of its {len(choices)} choices"


def _is_choice(gold: Any, choices: list[str]) -> bool:
    if isinstance(gold, int):
        return 0 <= gold < len(choices)
    return gold in choices


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
