"""One dialogue at a time: the twins of `chat.render_prompts` and `chat.tokenize_dialogues`."""

from collections.abc import Sequence
from typing import Any

from montessori.models import chat


def render_prompt(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Token ids of a dialogue that the assistant is to continue (generation prompt included)."""
    text = chat.render_text(tokenizer, messages, prompt=True)
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def tokenize_dialogue(
    tokenizer: Any, messages: Sequence[dict[str, str]], max_length: int
) -> chat.Tokens:
    """Token ids and loss mask of one finished dialogue."""
    return chat.tokenize_dialogues(tokenizer, [messages], max_length)[0]
