"""The forms of rows that the field writes: an object as one row or several."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from montessori.artifacts.records.json_values import reason_of
from montessori.sources.rows.fields import (
    ADDED,
    ANSWERED,
    ASKED,
    DIALOGUES,
    LABELS,
    OPTIONAL,
    SYSTEM,
    LeftOut,
    Malformed,
    Tally,
    describe,
    first_of,
    is_absent,
    is_empty,
    list_of,
    refuse_other_media,
    text_of,
)
from montessori.sources.rows.messages import read_messages, split_dialogue
from montessori.sources.rows.row import Row

Given = Mapping[str, Any]  # the fields of an object that are not null

FORMS = (
    '{"instruction": ..., "response": ...}, optional "input", "system", "history" and "skill"; '
    '{"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]}; '
    '"conversations" (ShareGPT), "prompt" and "completion", "question" and "answer", "chosen", '
    '"instances": docs/how-to/own-rows.md'
)


def read_object(value: Any, where: str, answered: bool, tally: Tally) -> list[Row]:
    """The rows of an object: one for each instance of a seed task of Self-Instruct, else one.

    answered: whether a row needs an answer to its last turn. Raises Malformed for what is no row,
    LeftOut for a row whose answer is marked as bad.
    """
    if not isinstance(value, Mapping):
        reason = f" ({reason_of(value)})" if isinstance(value, Exception) else ""
        raise Malformed(f"not a JSON object{reason}")
    given = {name: entry for name, entry in value.items() if not is_absent(entry)}
    refuse_other_media(given)
    label = _label_field(given)
    if answered and label is not None and given[label] in (False, "false", "False"):
        raise LeftOut(f"{label} false")
    rows = [_read_row(entry, where, answered, tally) for entry in _split_instances(given)]
    used = _used_fields(given)
    tally.unused.update(name for name in given if name not in used and not is_empty(given[name]))
    return rows


def _split_instances(given: Given) -> list[Given]:
    """The object once for each of its `instances`, with the fields of that one."""
    if is_empty(given.get("instances")):
        return [given]
    listed = list_of(given["instances"], "instances")
    if not all(isinstance(entry, Mapping) for entry in listed):
        raise Malformed("'instances' is not a list of objects")
    rest = {name: entry for name, entry in given.items() if name != "instances"}
    return [rest | {k: v for k, v in entry.items() if not is_absent(v)} for entry in listed]


def _read_row(given: Given, where: str, answered: bool, tally: Tally) -> Row:
    listed = _system_messages(given) + _listed_messages(given, answered, tally)
    dialogue = split_dialogue(
        read_messages(listed, tally), _dialogue_field(given) or "messages", answered
    )
    used = _used_fields(given)
    optional = {name: given[name] for name in OPTIONAL if name in given and name in used}
    if first_of(given, ASKED) == "prompt" and _dialogue_field(given) is None:
        optional.pop("prompt", None)  # it is the question itself
    for name, text in optional.items():
        if not isinstance(text, str):
            raise Malformed(f"{name!r} is not a text ({describe(text)})")
    return Row(dialogue.turns, dialogue.responses, where=where, system=dialogue.system, **optional)


def _used_fields(given: Given) -> set[str]:
    """The fields that make the row; what else is there is counted."""
    dialogue, asked = _dialogue_field(given), first_of(given, ASKED)
    used = {*SYSTEM, "skill", "raw", "instances", dialogue or "", _label_field(given) or ""}
    if isinstance(given.get("prompt"), str):
        used.add("prompt")
    if dialogue is None:
        return used | {asked or "", *ADDED, "history", first_of(given, ANSWERED) or ""}
    return used | {"chosen"}


def _label_field(given: Given) -> str | None:
    """The field that marks an answer as wanted or not.

    In a table the mark is a text. A number may be that of a class, so it is none.
    """
    marks = ("true", "false", "True", "False")
    return next(
        (n for n in LABELS if isinstance(given.get(n), bool) or given.get(n) in marks), None
    )


def _dialogue_field(given: Given) -> str | None:
    """The field with a list of messages; an empty one counts only where there is no question."""
    names = [name for name in DIALOGUES if name in given]
    filled = [name for name in names if not is_empty(given[name])]
    return next(iter(filled or ([] if first_of(given, ASKED) else names)), None)


def _system_messages(given: Given) -> list[Any]:
    name = first_of(given, SYSTEM)
    if name is None:
        return []
    if not isinstance(given[name], str):
        raise Malformed(f"{name!r} is not a text ({describe(given[name])})")
    return [{"role": "system", "content": given[name]}]


def _listed_messages(given: Given, answered: bool, tally: Tally) -> list[Any]:
    """The messages of a row, whichever fields they stand in."""
    field = _dialogue_field(given)
    if field is not None:
        listed = list(list_of(given[field], field))
        # A preference row has its question here and its answers apart.
        open_end = _is_user(listed[-1]) and "chosen" in given
        return listed + (_as_messages(given, "chosen", "assistant", tally) if open_end else [])
    asked = first_of(given, ASKED)
    answer = _answer_messages(given, answered, tally)
    # Of a preference without a prompt both sides are whole dialogues; UltraFeedback's always are.
    if answer and _is_user(answer[0], ("user", "human", "system")):
        return answer
    if asked is None:
        raise Malformed(_missing("instruction", (*ASKED, *DIALOGUES), given))
    question = _as_messages(given, asked, "user", tally)
    added = [_as_messages(given, name, "user", tally) for name in ADDED if _is_filled(given, name)]
    return _history(given, tally) + question + sum(added, []) + answer


def _answer_messages(given: Given, answered: bool, tally: Tally) -> list[Any]:
    name = first_of(given, ANSWERED)
    if name is None and answered:
        raise Malformed(
            _missing("instruction", (*ASKED, *DIALOGUES), given)
            if first_of(given, ASKED) is None
            else _missing("response", ANSWERED, given)
        )
    if name is None or (not answered and is_empty(given[name])):
        return []
    return _as_messages(given, name, "assistant", tally)


def _as_messages(given: Given, name: str, role: str, tally: Tally) -> list[Any]:
    """A field as messages: a text by `role`, or the messages that it holds (trl)."""
    value = given[name]
    if isinstance(value, str) and value.startswith("[{") and (parsed := _parse_list(value)):
        value = parsed
    if isinstance(value, Mapping):
        value = [value]
    if isinstance(value, list | tuple) and value and all(map(_is_message, value)):
        return list(value)
    return [{"role": role, "content": text_of(given[name], name, tally)}]


def _parse_list(text: str) -> Any:
    """The list that a cell of a table holds as JSON, or None for a text that only looks so."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "from" in value)


def _is_user(value: Any, roles: Sequence[str] = ("user", "human")) -> bool:
    return isinstance(value, Mapping) and value.get("role", value.get("from")) in roles


def _is_filled(given: Given, name: str) -> bool:
    value = given.get(name)
    return not is_empty(value) and not (isinstance(value, str) and not value.strip())


def _history(given: Given, tally: Tally) -> list[Any]:
    """Earlier turns, pairs of question and answer (LLaMA-Factory's form of Alpaca)."""
    if is_empty(given.get("history")):
        return []
    messages = []
    for number, pair in enumerate(list_of(given["history"], "history"), 1):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Malformed(f"'history' {number} is not a pair of question and answer")
        for role, text in zip(("user", "assistant"), pair, strict=True):
            content = text_of(text, f"history {number}", tally)
            messages.append({"role": role, "content": content})
    return messages


def _missing(name: str, names: Sequence[str], given: Given) -> str:
    there = ", ".join(map(repr, given)) or "nothing"  # with quotes: blanks may be part of a name
    return (
        f"{name!r} is missing: none of {', '.join(names)} is there, only {there[:200]} (other "
        "names: reading.columns in params.yaml)"
    )
