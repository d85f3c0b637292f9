"""The shapes in which servers answer: a text and its end decide, all else may be missing.

Servers differ in the words for an end, write a text in parts, leave usage out or half of it, and
give log-probabilities in two forms. What cannot be read counts as not given.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from montessori.generate.engine import FirstTokens

#: Tokens of prompt and completion; None where the server does not tell.
Usage = tuple[int | None, int | None]

#: Why there is no text that can be used, as it is counted.
FILTERED, TOOL_CALL, REFUSED = "content filter", "tool call", "refused"

#: Reasons that are no end, in lower case; every other word, and none, says that the model ended.
#: vLLM, OpenAI: length; Gemini: max_tokens; Mistral: model_length.
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "max_length", "model_length"})
_FILTERS = frozenset(
    {"content_filter", "content_filtered", "safety", "recitation", "blocklist"}
    | {"prohibited_content", "spii", "guardrail_intervened"}
)
_TOOLS = frozenset({"tool_calls", "function_call", "tool_use", "malformed_function_call"})
#: The server has failed (Mistral, OpenRouter, SGLang): there is no answer yet.
_FAILED = frozenset({"error", "abort", "aborted"})
#: What makes a version of a name and not another model: gpt-4.1 and claude-3-5 are others.
_VERSION = re.compile(r"[-:@](latest|preview|v\d[\w.]*|\d{3,8}|\d{4}-\d\d-\d\d)", re.ASCII)


class End(NamedTuple):
    """Whether the model ended its text itself, and why there is no usable text ("" if there is)."""

    finished: bool
    refused: str = ""


class Message(NamedTuple):
    """What an assistant's message holds."""

    text: str = ""
    thought: str = ""
    refused: str = ""


def read_end(choice: Mapping[str, Any]) -> End:
    """Who ended a choice. Raises ValueError where the server says that it has failed."""
    reason = str(choice.get("finish_reason") or "").lower()
    if reason in _FAILED:
        raise ValueError(f"finish_reason is {reason!r}")
    if reason in _FILTERS:
        return End(False, FILTERED)
    if reason in _TOOLS:
        return End(False, TOOL_CALL)
    return End(reason not in _CUT)


def read_message(choice: Mapping[str, Any]) -> Message:
    """The text of a choice, and the thought that the server has parted from it.

    Raises TypeError where `message.content` is neither a text nor parts nor nothing, and KeyError
    where there is no message.
    """
    message = choice.get("message")
    if message is None:
        if not isinstance(choice.get("text"), str) and not read_end(choice).refused:
            raise KeyError("message")
        return Message(choice.get("text") or "")
    text, thought = _read_content(message.get("content"))
    apart = message.get("reasoning_content") or message.get("reasoning")
    thought = thought or "".join(_list_texts(apart))
    refused = ""
    if not text.strip() and message.get("refusal"):
        refused = REFUSED
    elif not text.strip() and (message.get("tool_calls") or message.get("function_call")):
        refused = TOOL_CALL
    return Message(text, thought, refused)


def read_usage(answer: Mapping[str, Any], text: str) -> Usage:
    """Tokens of prompt and completion, as far as the server tells them.

    0 tokens of a prompt, or of a text that is there, are no count. Completion tokens that are
    missing are the rest of the total.
    """
    usage = answer.get("usage")
    if not isinstance(usage, Mapping):
        return None, None
    prompt = _count(usage, "prompt_tokens", "input_tokens") or None
    completion = _count(usage, "completion_tokens", "output_tokens")
    total = _count(usage, "total_tokens")
    if completion is None and total is not None and prompt is not None:
        completion = max(0, total - prompt)
    return prompt, None if completion == 0 and text else completion


def read_model(answer: Mapping[str, Any]) -> str:
    """The model that a server says has answered; "" where it does not say so in a text."""
    name = answer.get("model")
    return " ".join(name.split())[:200] if isinstance(name, str) else ""


def other_model(asked: str, answered: str) -> str:
    """The name of the model that answered, where it is another than the one asked for; else "".

    A provider before the name (openai/gpt-4o) and the case of letters make no other model.
    """
    names = {asked.lower(), asked.lower().rpartition("/")[2]}
    same = {answered.lower(), answered.lower().rpartition("/")[2]} & names
    return "" if same else answered


def is_version(asked: str, answered: str) -> bool:
    """Whether a name is another one with a date or version: gpt-4o-2024-08-06, llama3:latest."""
    tail = answered.lower().rpartition("/")[2]
    name = asked.lower().rpartition("/")[2]
    return tail.startswith(name) and _VERSION.fullmatch(tail, len(name)) is not None


def count_answer(answer: Mapping[str, Any], completion: int | None, message: Message) -> int:
    """Tokens of the answer alone: without those of a thought that the server has parted from it.

    0 where the server does not count; a share by characters where it counts them together.
    """
    if not completion or not message.text.strip():
        return completion or 0
    details = answer["usage"].get("completion_tokens_details")
    thinking = _count(details, "reasoning_tokens") if isinstance(details, Mapping) else None
    if thinking is None and message.thought:
        whole = len(message.text) + len(message.thought)
        thinking = completion - round(completion * len(message.text) / whole)
    return max(1, completion - (thinking or 0))


def read_first(choice: Mapping[str, Any]) -> FirstTokens:
    """The likeliest first tokens, likeliest first; empty where the server does not tell.

    Chat completions have a list of tokens, completions a mapping of texts to log-probabilities;
    llama.cpp has the list in both.
    """
    try:
        found = tuple(_list_first(choice.get("logprobs")))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return ()
    return tuple(sorted(found, key=lambda pair: -pair[1]))


def _list_first(logprobs: Any) -> Iterator[tuple[str, float]]:
    if content := logprobs.get("content"):
        listed = [(one["token"], one.get("logprob")) for one in content[0]["top_logprobs"]]
    else:
        listed = list(logprobs["top_logprobs"][0].items())
    for token, value in listed:
        if value is not None and math.isfinite(float(value)):
            yield str(token), float(value)


def _read_content(content: Any) -> tuple[str, str]:
    """Text and thought of a content that is a text, parts, or nothing."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list | Mapping):
        raise TypeError(f"content is of type {type(content).__name__}")
    text, thought = "", ""
    for part in [content] if isinstance(content, Mapping) else content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind in ("thinking", "reasoning"):
            thought += "".join(_list_texts(part))
        elif kind in ("text", "output_text"):
            text += "".join(_list_texts(part))
    return text, thought


def _list_texts(value: Any) -> Iterator[str]:
    """All texts of a part, which may hold parts itself."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _list_texts(one)
    elif isinstance(value, Mapping):
        for name in ("text", "thinking", "reasoning", "content", "summary"):
            yield from _list_texts(value.get(name))


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    """The first of some counts that is a number of at least 0."""
    for name in names:
        value = usage.get(name)
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
            return int(value)
    return None
