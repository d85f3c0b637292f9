"""Parts of a dialogue: the turns of the user and of the assistant."""

from collections.abc import Sequence

Turns = tuple[str, ...]  # the user turns of a row


def user_turns(messages: Sequence[dict[str, str]]) -> Turns:
    """The texts of the user turns of a dialogue."""
    return tuple(message["content"] for message in messages if message["role"] == "user")


def assistant_turns(messages: list[dict[str, str]]) -> list[str]:
    """The assistant's texts of a dialogue."""
    return [message["content"] for message in messages if message["role"] == "assistant"]
