"""Loads lm-eval's tasks by name from local data, and checks them before a model is loaded."""

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from montessori.errors import MontessoriError
from montessori.evals.public.task_answers import require_answers
from montessori.sources.local_data import LocalData

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

FEWSHOT_SEED = 1234  # lm-eval's own
DEFAULT = -1  # shots: as many as the task's own file sets


def load_task(name: str, shots: int, data: LocalData) -> dict[str, Any]:
    """Load the task or group `name` in the form that lm-eval's `evaluate` takes.

    shots: examples before each question, or DEFAULT. Raises MontessoriError for an unknown name,
    missing data, an item without a right answer, and examples without a split to draw them from.
    """
    manager = task_index()
    if name not in manager.all_tasks:
        close = difflib.get_close_matches(name, manager.all_tasks, 3)
        raise MontessoriError(
            f"lm-eval has no task {name!r}",
            where="params.yaml, section harnesses",
            expected=f"such as {', '.join(close)}" if close else "a name of `lm-eval ls tasks`",
            next="fix the task's name",
        )
    loaded = _load_served(manager, name, data)
    require_answers(loaded["tasks"], data)
    for task in loaded["tasks"].values():
        _set_shots(task, shots, data)
    return loaded


def _load_served(manager: "TaskManager", name: str, data: LocalData) -> dict[str, Any]:
    """lm-eval's task or group on local data. lm-eval looks at a task's first item at once."""
    try:
        with data.serving():
            loaded: dict[str, Any] = manager.load([name])
    except (LookupError, ValueError, TypeError, AttributeError, TemplateError) as error:
        raise MontessoriError(
            f"lm-eval cannot set up the task {name} on the local data: {error!r}",
            where=str(data.folder),
            expected="the splits and columns that the task reads, and an answer to its first item",
            next="fetch the data set again",
        ) from error
    return loaded


@cache
def task_index() -> "TaskManager":
    """lm-eval's index of all its tasks. Reading it takes seconds, so it is read once."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _set_shots(task: "Task", shots: int, data: LocalData) -> None:
    """Set the number of examples as lm-eval's `simple_evaluate` does.

    Where there are too few examples to draw, lm-eval would go on without them; this is an error.
    """
    config = task.config
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    if shots == DEFAULT:
        task.set_config(key="num_fewshot", value=config.num_fewshot or 0)
        return
    if shots and config.num_fewshot == 0:
        raise MontessoriError(
            f"task {config.task} is defined without examples",
            where="params.yaml, section harnesses",
            expected="shots: 0 (or -1)",
            next="set shots: 0, or name another task",
        )
    split = config.fewshot_split or config.training_split or config.validation_split
    rows = len(task.dataset.get(split, ())) if split else 0
    if shots and split and rows < shots:
        raise MontessoriError(
            f"task {config.task} draws its {shots} examples from the split {split!r}, of which "
            f"the local files have {rows}",
            where=str(data.folder),
            expected=f"the splits {', '.join(task.dataset)} and {split}",
            next=f"hf download {config.dataset_path} --repo-type dataset --local-dir "
            f"{data.folder / str(config.dataset_path)}",
        )
    task.set_config(key="num_fewshot", value=shots)
