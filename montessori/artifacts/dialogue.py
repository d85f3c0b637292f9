"""Dialogues: the turns of the user and of the assistant, taken apart and put together."""

from collections.abc import Iterable, Sequence

Turns = tuple[str, ...]  # the user turns of a row


def user_turns(messages: Sequence[dict[str, str]]) -> Turns:
    """The texts of the user turns of a dialogue."""
    return tuple(message["content"] for message in messages if message["role"] == "user")


def assistant_turns(messages: Sequence[dict[str, str]]) -> list[str]:
    """The assistant's texts of a dialogue."""
    return [message["content"] for message in messages if message["role"] == "assistant"]


def system_prompts(messages: Sequence[dict[str, str]]) -> list[str]:
    """The system prompts of a dialogue, of which there is usually none."""
    return [message["content"] for message in messages if message["role"] == "system"]


def build_dialogue(turns: Sequence[str], answers: Sequence[str] = ()) -> list[dict[str, str]]:
    """User turns with the answers given so far between them; the last turn may be open."""
    messages = []
    for number, turn in enumerate(turns):
        messages.append({"role": "user", "content": turn})
        if number < len(answers):
            messages.append({"role": "assistant", "content": answers[number]})
    return messages


def build_prompts(texts: Iterable[str]) -> list[list[dict[str, str]]]:
    """One dialogue for each text: a single user turn, which a model is to answer."""
    return [build_dialogue([text]) for text in texts]
