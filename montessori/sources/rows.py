"""Rows of dialogue from a file of one's own: JSON Lines, or a JSON list."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.json_lines import number_lines
from montessori.errors import MontessoriError

SHOWN = 10  # problems listed in one error
OPTIONAL = ("skill", "prompt", "raw")  # texts that a row may have
FORMS = (
    '{"instruction": ..., "response": ...}, optional "input" and "skill", or '
    '{"messages": [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]}'
)


@dataclass(frozen=True)
class Row:
    """One dialogue: user and assistant turns in pairs.

    `key` is the content of a lab task whatever its wording, `skill` its subject group; `prompt`
    is the text that a teacher saw when it wrote the instruction, `raw` what it wrote. All four
    are None if the file does not give them. `system` is the system prompt, None where there is
    none. `where` is the file and line it came from.
    """

    turns: tuple[str, ...]
    responses: tuple[str, ...]
    skill: str | None = None
    key: str | None = None
    prompt: str | None = None
    raw: str | None = None
    where: str = ""
    system: str | None = None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The dialogue as chat messages: system prompt if any, then user and assistant in turn."""
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        for turn, response in zip(self.turns, self.responses, strict=True):
            messages.append({"role": "user", "content": turn})
            messages.append({"role": "assistant", "content": response})
        return messages


def read_rows(path: Path) -> list[Row]:
    """The rows of a .jsonl file, or of a .json file that holds a list of rows.

    Raises one MontessoriError with the line numbers of all malformed rows (the first ten), or if
    the file is missing, empty or not UTF-8.
    """
    return rows_of(_read_objects(path), str(path))


def read_turns(path: Path) -> list[tuple[str, ...]]:
    """The user turns of each row of a file; a row may be an instruction without a response.

    Raises MontessoriError as `read_rows` does.
    """
    objects = ((where, _require_answers(value)) for where, value in _read_objects(path))
    return [row.turns for row in rows_of(objects, str(path))]


def _require_answers(value: Any) -> Any:
    if not isinstance(value, Mapping) or {"response", "output", "messages"} & value.keys():
        return value
    # Any text will do: it only satisfies the checks of a row, and the caller takes the turns alone.
    return {**value, "response": "none"}


def rows_of(objects: Iterable[tuple[str, Any]], source: str) -> list[Row]:
    """Rows from (place, object) pairs. Raises MontessoriError with all malformed rows, or none."""
    rows, problems = [], []
    for where, value in objects:
        row = _make_row(value, f"{source}, {where}")
        if isinstance(row, Row):
            rows.append(row)
        else:
            problems.append(f"{where}: {row}")
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise _rows_error(
            f"{len(problems)} malformed rows:\n  " + "\n  ".join(problems[:SHOWN]) + more, source
        )
    if not rows:
        raise _rows_error("the file has no rows", source)
    return rows


def _read_objects(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        # `utf-8-sig` also drops the byte-order mark that some editors put at the start.
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _rows_error("the file does not exist", str(path)) from error
    except UnicodeDecodeError as error:
        raise _rows_error(f"the file is not UTF-8 text ({error})", str(path)) from error
    if Path(path).suffix == ".json":
        values = _parse_json(text)
        if not isinstance(values, list):
            raise _rows_error(f"not a list of rows{_syntax_reason(values)}", str(path))
        yield from ((f"row {number}", value) for number, value in enumerate(values, 1))
        return
    for number, line in number_lines(text):
        yield f"line {number}", _parse_json(line)


def _parse_json(text: str) -> Any:
    """The JSON value, or the error that says why there is none."""
    try:
        return json.loads(text)
    # Returned, not raised, so that one message can list all malformed rows. Deeply nested JSON ends
    # in a RecursionError.
    except (ValueError, RecursionError) as error:
        return error


def _syntax_reason(value: Any) -> str:
    return f" ({value})" if isinstance(value, Exception) else ""


def _make_row(value: Any, where: str) -> Row | str:
    """The row, or what is wrong with it."""
    if not isinstance(value, Mapping):
        return f"not a JSON object{_syntax_reason(value)}"
    skill, prompt, raw = (value.get(name) for name in OPTIONAL)
    wrong = [name for name in OPTIONAL if not isinstance(value.get(name), str | None)]
    if wrong:
        return f"{wrong[0]!r} is not a text"
    system, messages = _split_system(value)
    turns = _from_pair(value) if messages is None else _from_messages(messages)
    if isinstance(turns, str):
        return turns
    if not isinstance(system, str | None):
        return "'system' is not a text"
    system = system if system and system.strip() else None
    return Row(*turns, skill=skill, prompt=prompt, raw=raw, where=where, system=system)


def _split_system(value: Mapping[str, Any]) -> tuple[Any, Any]:
    """The system prompt, in a field or as first message, and the other messages, if any."""
    system, messages = value.get("system"), value.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if isinstance(first, Mapping) and first.get("role") in ("system", "developer"):
        return first.get("content"), messages[1:]
    return system, messages


def _from_pair(value: Mapping[str, Any]) -> tuple[tuple[str], tuple[str]] | str:
    instruction = value.get("instruction")
    # `output` and `input` are the names of Alpaca's files. With neither answer there, the message
    # should name ours.
    name = "response" if "response" in value or "output" not in value else "output"
    response, extra = value.get(name), value.get("input") or ""
    texts = {"instruction": instruction, name: response}
    for key, text in texts.items():
        if not isinstance(text, str):
            return f"{key!r} is missing" if text is None else f"{key!r} is not a text"
        if not text.strip():
            return f"{key!r} has no text"
    if not isinstance(extra, str):
        return "'input' is not a text"
    merged = f"{instruction}\n\n{extra}" if extra.strip() else instruction
    return (merged,), (response,)  # type: ignore[return-value]


def _from_messages(messages: Any) -> tuple[tuple[str, ...], tuple[str, ...]] | str:
    # A text is a sequence too, and its letters are no messages.
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        return "'messages' is not a list of messages"
    if len(messages) % 2:
        return "'messages' does not end with an assistant message"
    for number, message in enumerate(messages):
        role = ("user", "assistant")[number % 2]
        if not isinstance(message, Mapping) or message.get("role") != role:
            return f"message {number + 1} does not have the role {role!r}"
        content = message.get("content")
        if not isinstance(content, str) or not content.strip():
            return f"message {number + 1} has no text"
    texts = [message["content"] for message in messages]
    return tuple(texts[::2]), tuple(texts[1::2])


def _rows_error(what: str, where: str) -> MontessoriError:
    return MontessoriError(what, where=where, expected=FORMS, next=f"fix {where}, then dvc repro")
