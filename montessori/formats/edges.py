"""What a chat template writes before and behind the text of a turn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError
from montessori.models import chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: Stands for the text of a turn; no template writes it, and none trims or changes it.
MARK = "MONTESSORI-TURN"


def find_user_edges(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[chat.Message] = ()
) -> tuple[str, str]:
    """The text before and behind a user's text that comes after `messages`.

    What is behind it goes on to where the assistant begins to write. Raises MontessoriError where
    the template does not write the text as it is.
    """
    turn = {"role": "user", "content": MARK}
    text = chat.render_text(tokenizer, [*messages, turn], prompt=True)
    return _split_at_mark(text, tokenizer)


def find_user_end(tokenizer: "PreTrainedTokenizerFast") -> str:
    """The text by which the end of a user's turn is told: a special token, or what stands there.

    Raises MontessoriError where the template writes nothing behind a user's text.
    """
    behind = find_user_edges(tokenizer)[1]
    end = _first_special(behind, tokenizer) or behind.strip(" ").rstrip()
    if end:
        return end
    raise MontessoriError(
        "the chat template writes nothing behind a user's text, so its end cannot be told",
        where=str(tokenizer.name_or_path),
        expected="a template with a token or a word between user and assistant",
        next="set instruction.format to tags, prefill or list in params.yaml",
    )


def find_answer_edges(tokenizer: "PreTrainedTokenizerFast", prompt: str) -> tuple[str, str]:
    """The text before and behind the answer to a user's turn, up to the end of the answer's turn.

    What is before it is where an answer without a thought begins: some templates ask for a thought
    first when they are asked for an answer.
    """
    messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": MARK}]
    before, behind = _split_at_mark(chat.render_text(tokenizer, messages), tokenizer)
    special = _first_special(behind, tokenizer)
    if special is None:
        return before, behind.rstrip() or str(tokenizer.eos_token)
    return before, behind[: behind.index(special) + len(special)]


def _split_at_mark(text: str, tokenizer: "PreTrainedTokenizerFast") -> tuple[str, str]:
    before, mark, behind = text.rpartition(MARK)
    if mark:
        return before, behind
    raise MontessoriError(
        "the chat template does not show the text of a turn as it is",
        where=str(tokenizer.name_or_path),
        expected="a template that writes each message's content",
        next="set instruction.format to tags or list in params.yaml, or fix the template",
    )


def _first_special(text: str, tokenizer: "PreTrainedTokenizerFast") -> str | None:
    """The special token that a text begins with, white space aside; of several the longest."""
    found = [one for one in chat.special_texts(tokenizer) if text.lstrip().startswith(one)]
    return max(found, key=len, default=None)
