"""Dialogues: the turns of the user and of the assistant, taken apart and put together."""

from collections.abc import Iterable, Mapping, Sequence

Turns = tuple[str, ...]  # the user turns of a row


def user_turns(messages: Sequence[Mapping[str, str]]) -> Turns:
    """The texts of the user turns of a dialogue."""
    return tuple(message["content"] for message in messages if message["role"] == "user")


def assistant_turns(messages: Sequence[Mapping[str, str]]) -> list[str]:
    """The assistant's texts of a dialogue."""
    return [message["content"] for message in messages if message["role"] == "assistant"]


def system_prompts(messages: Sequence[Mapping[str, str]]) -> list[str]:
    """The system prompts of a dialogue, of which there is usually none."""
    return [message["content"] for message in messages if message["role"] == "system"]


def join_system(messages: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The dialogue with its system messages at the beginning of the user's first turn.

    For readers that know no system messages. A blank line stands between, as in judges' prompts.
    """
    system = system_prompts(messages)
    rest = [message for message in messages if message["role"] != "system"]
    place = next((i for i, message in enumerate(rest) if message["role"] == "user"), None)
    if not system or place is None:
        return rest
    opened = {**rest[place], "content": "\n\n".join([*system, rest[place]["content"]])}
    return [*rest[:place], opened, *rest[place + 1 :]]


def build_dialogue(
    turns: Sequence[str], answers: Sequence[str] = (), system: Sequence[str] = ()
) -> list[dict[str, str]]:
    """User turns with the answers given so far between them; the last turn may be open.

    `system` are texts of system messages, which come first.
    """
    messages = [{"role": "system", "content": text} for text in system]
    for number, turn in enumerate(turns):
        messages.append({"role": "user", "content": turn})
        if number < len(answers):
            messages.append({"role": "assistant", "content": answers[number]})
    return messages


def build_prompts(texts: Iterable[str]) -> list[list[dict[str, str]]]:
    """One dialogue for each text: a single user turn, which a model is to answer."""
    return [build_dialogue([text]) for text in texts]
