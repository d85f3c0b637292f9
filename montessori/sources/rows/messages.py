"""Lists of messages, in the words of OpenAI and of ShareGPT, as turns of a dialogue."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from montessori.sources.rows.fields import Malformed, Tally, describe, is_absent, is_empty, text_of

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}
_TOOL_ROLES = ("tool", "function", "function_call", "observation", "tool_call", "ipython")
_TOOL_FIELDS = ("tool_calls", "function_call")
_TEXT_PARTS = ("text", "input_text", "output_text")
_KNOWN = {"role", "content", "from", "value"}
JOIN = "\n\n"  # between messages that one side sent in a row


class Message(NamedTuple):
    """Who speaks (user, assistant or system) and what."""

    role: str
    text: str


class Dialogue(NamedTuple):
    """A system prompt or None, user turns, and as many answers, or one fewer."""

    system: str | None
    turns: tuple[str, ...]
    responses: tuple[str, ...]


def read_messages(listed: Sequence[Any], tally: Tally) -> list[Message]:
    """The messages of a list: parts of text joined, and messages of one side in a row.

    Raises Malformed for a message that calls a tool, holds an image or has no text.
    """
    messages: list[Message] = []
    for number, value in enumerate(listed, 1):
        message = _read_message(value, f"message {number}", tally)
        if message is not None:
            _append(messages, message)
    return messages


def split_dialogue(messages: Sequence[Message], name: str, answered: bool) -> Dialogue:
    """A dialogue of messages, each of another side than the one before.

    answered: whether the last message must be an answer. Raises Malformed if it is none, and for a
    dialogue that does not begin with a user's message.
    """
    system = messages[0].text if messages and messages[0].role == "system" else None
    rest = messages if system is None else messages[1:]
    for message in rest:
        if message.role == "system":
            raise Malformed(
                "a system message stands within the dialogue: only the first may be one"
            )
    if not rest or rest[0].role != "user":
        raise Malformed(f"{name!r} does not begin with a user message")
    if answered and rest[-1].role != "assistant":
        raise Malformed(f"{name!r} does not end with an assistant message")
    texts = [message.text for message in rest]
    return Dialogue(system, tuple(texts[::2]), tuple(texts[1::2]))


def _append(messages: list[Message], message: Message) -> None:
    if messages and messages[-1].role == message.role:
        messages[-1] = Message(message.role, messages[-1].text + JOIN + message.text)
    else:
        messages.append(message)


def _read_message(value: Any, where: str, tally: Tally) -> Message | None:
    """The message; None for an empty system prompt."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{where} is not an object")
    given = value.get("role", value.get("from"))
    if given in _TOOL_ROLES or any(not is_empty(value.get(name)) for name in _TOOL_FIELDS):
        raise Malformed(f"{where} calls a tool or is its answer: rows hold plain dialogues")
    role = _ROLES.get(given.strip().lower()) if isinstance(given, str) else None
    if role is None:
        known = ", ".join(_ROLES)
        raise Malformed(f"{where} does not have a known role but {given!r}; known: {known}")
    content = value["content"] if "content" in value else value.get("value")
    tally.unused.update(
        f"messages.{name}"
        for name, entry in value.items()
        if name not in _KNOWN and not is_empty(entry)
    )
    text = _join_parts(content, where, tally)
    if role == "system" and not text.strip():
        return None
    if not text.strip():
        raise Malformed(f"{where} has no text")
    return Message(role, text)


def _join_parts(content: Any, where: str, tally: Tally) -> str:
    """The text of a message, whose content may be a list of parts."""
    if isinstance(content, str):
        return content
    if is_absent(content):
        return ""
    if not isinstance(content, list | tuple):
        return text_of(content, f"{where}: content", tally)
    texts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind not in _TEXT_PARTS:
            raise Malformed(f"{where} holds a part of type {kind!r}: rows are text")
        # LLaMA-Factory's parts have a value in place of a text.
        text = part.get("text", part.get("value")) if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise Malformed(f"{where} has a part without text ({describe(text)})")
        texts.append(text)
    return "".join(texts)
