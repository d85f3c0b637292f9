"""The eval items that no training row may hold, as the seed stage wrote them."""

from collections.abc import Sequence
from pathlib import Path

from montessori.artifacts.dialogue import assistant_turns, system_prompts, user_turns
from montessori.artifacts.json_lines import read_json_lines
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, texts_revealing
from montessori.worlds import find_task


def read_evals(folder: Path, ngram: int) -> tuple[EvalItems, frozenset[str]]:
    """All eval items below a folder, to be told by runs of `ngram` words, and their content keys.

    Only items of the lab have keys. Raises MontessoriError when there is no item or a line is
    malformed.
    """
    items, keys = EvalItems(ngram), set()
    for file in sorted(folder.rglob("*.jsonl")):
        for number, item, _ in read_json_lines(file):
            try:
                name = str(item.get("item_id", f"{file}, line {number}"))
                key = item.get("key")
                for turns in texts_revealing(item["turns"], key):
                    # Tasks of the lab share turns with other tasks by design.
                    items.add(name, turns, only_as_row=key is not None)
            except (AttributeError, KeyError, TypeError) as error:
                raise MontessoriError(
                    f"an eval item cannot be read: {error!r}",
                    where=f"{file}, line {number}",
                    expected='a JSON object with "turns", a list of texts',
                    next="run `dvc repro seed`",
                ) from error
            if "key" in item:
                keys.add(item["key"])
    if not items:
        raise MontessoriError(
            "there are no eval items to keep out of the dataset",
            where=str(folder),
            expected="a folder with *.jsonl files of eval items",
            next="run `dvc repro seed`",
        )
    return items, frozenset(keys)


def is_eval_item(
    messages: Sequence[dict[str, str]], items: EvalItems, keys: frozenset[str]
) -> bool:
    """Whether a row is an eval item, in its words or as a task of the lab, or holds one.

    Every turn is looked at: those of the user, the assistant's, and a system prompt.
    """
    turns = user_turns(messages)
    for asked in (turns, system_prompts(messages)):
        if asked and items.matched_by(asked) is not None:
            return True
    if items.repeated_by(assistant_turns(messages)) is not None:
        return True
    # Parsing a text as a task takes time and is in vain when no eval item is a task of a world.
    task = find_task(turns) if keys else None
    return task is not None and task.key in keys
