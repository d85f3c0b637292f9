"""Texts of control tokens in what people write: they are tokenized as text, not as the tokens.

To a tokenizer `<|end|>` is its token wherever it stands, and `<s>`, which is HTML, is Llama 2's
beginning of text. In a message such a text is therefore *marked*: its first character becomes one
of private use, which stands for it. Marked texts pass a chat template like any other. A twin of
the tokenizer, in which the control tokens themselves have the marked forms, then reads the
dialogue with both exchanged: the template's control tokens are tokens to it, and all else is text.
Both forms have the same length, so that characters keep their places.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from montessori.errors import MontessoriError
from montessori.models.rendering import render_dialogue, require_template
from montessori.models.thinking import is_thought_mark
from montessori.models.turns import ANSWER, QUESTION, Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

#: The first mark, in the last plane of private use, where no script and no icon font is.
FIRST = 0x10F000
_MARK = re.compile("[\U0010f000-\U0010fffd]")


class Encoded(NamedTuple):
    """Token ids of a text, and of each token its first character and the one behind its last."""

    ids: list[int]
    offsets: list[Span]


@dataclass(frozen=True)
class ControlTexts:
    """The texts of a tokenizer's control tokens, each with its marked form, and both back."""

    marked: Mapping[str, str]
    pattern: re.Pattern[str]  # of the texts, longest first
    either: re.Pattern[str]  # of both forms

    @classmethod
    def of(cls, texts: Sequence[str]) -> "ControlTexts":
        """Of different, not empty texts, in the order of their marks."""
        marked = {text: chr(FIRST + n) + text[1:] for n, text in enumerate(texts)}
        return cls(marked, _any_of([*marked]), _any_of([*marked, *marked.values()]))

    def held_by(self, text: str) -> bool:
        """Whether a text of a person's holds one."""
        return self.pattern.search(text) is not None

    def mark(self, text: str) -> str:
        """A text of a person's with control texts marked; a marked one stays as it is."""
        return self.pattern.sub(lambda found: self.marked[found[0]], text)

    def exchange(self, text: str) -> str:
        """A text in which marked forms are control texts, and control texts are marked."""
        other = {**self.marked, **{mark: plain for plain, mark in self.marked.items()}}
        return self.either.sub(lambda found: other[found[0]], text)


def control_texts(tokenizer: "PreTrainedTokenizerFast") -> ControlTexts:
    """Of the special tokens, and of other added tokens that the chat template writes itself.

    Some models have `<|user|>` as an added token that is not special. Marks of thoughts are none:
    they are part of an answer.
    """
    return _control_texts(tokenizer, require_template(tokenizer), len(tokenizer))


def encode_texts(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[Encoded]:
    """The tokens of texts, marked ones as text; nothing is put before or behind a text."""
    if not texts:
        return []
    found = tokenizer(
        list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    encoded = list(map(Encoded, found["input_ids"], found["offset_mapping"]))
    for place, text in _marked_among(texts):
        encoded[place] = _encode_marked(tokenizer, text)
    return encoded


def encode_ids(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[list[int]]:
    """The ids of `encode_texts`."""
    if not texts:
        return []
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)[
        "input_ids"
    ]
    for place, text in _marked_among(texts):
        found[place] = _encode_marked(tokenizer, text).ids
    return found


def mark_texts(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[str]:
    """Texts of people, in which nothing is a control token."""
    controls = control_texts(tokenizer)
    return [controls.mark(text) for text in texts]


def is_marked(text: str) -> bool:
    """Whether a text holds a marked one."""
    return _MARK.search(text) is not None


def _marked_among(texts: Sequence[str]) -> list[tuple[int, str]]:
    return [(place, text) for place, text in enumerate(texts) if is_marked(text)]


def _any_of(texts: Sequence[str]) -> re.Pattern[str]:
    """Any of the texts, the longest that fits; without a text nothing."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


@lru_cache(maxsize=8)
def _control_texts(tokenizer: "PreTrainedTokenizerFast", template: str, size: int) -> ControlTexts:
    # template and size are arguments because tokenizers are changed in place
    added = tokenizer.added_tokens_decoder.values()
    special = {str(token) for token in added if token.special} | {*tokenizer.all_special_tokens}
    written = _written_by_template(tokenizer)
    special |= {text for text in map(str, added) if text in written and _is_control(text)}
    return ControlTexts.of(sorted(special - {""}))


def _is_control(text: str) -> bool:
    """Whether an added token of a template is neither a word, nor blanks, nor a thought's mark."""
    return not (text[:1].isalnum() or text.isspace() or is_thought_mark(text))


def _written_by_template(tokenizer: "PreTrainedTokenizerFast") -> str:
    """What the chat template writes around a dialogue; nothing where it refuses this one."""
    question, answer = (
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    )
    try:
        text = render_dialogue(tokenizer, [question, answer, question], prompt=True)[0]
    except MontessoriError:
        return ""
    return text.replace(QUESTION, "").replace(ANSWER, "")


def _encode_marked(tokenizer: "PreTrainedTokenizerFast", text: str) -> Encoded:
    controls = control_texts(tokenizer)
    twin, ids = _make_twin(tokenizer, require_template(tokenizer), len(tokenizer))
    encoded = twin.encode(controls.exchange(text), add_special_tokens=False)
    return Encoded([ids.get(each, each) for each in encoded.ids], encoded.offsets)


@lru_cache(maxsize=2)
def _make_twin(
    tokenizer: "PreTrainedTokenizerFast", template: str, size: int
) -> "tuple[Tokenizer, dict[int, int]]":
    """A tokenizer whose control tokens have marked texts, and the ids that it gives others."""
    from tokenizers import Tokenizer

    marked = control_texts(tokenizer).marked
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    state |= {"padding": None, "truncation": None}
    names = {token["content"]: token["id"] for token in state["added_tokens"]}
    for token in state["added_tokens"]:
        token["content"] = marked.get(token["content"], token["content"])
    if state["model"]["type"] == "Unigram":  # it finds its pieces in any text, control tokens too
        state["model"]["vocab"] = [
            [marked.get(piece, piece), score] for piece, score in state["model"]["vocab"]
        ]
    twin = Tokenizer.from_str(json.dumps(state))
    ids = {}
    for text, known in names.items():
        if (given := twin.token_to_id(marked.get(text, text))) is not None:
            ids[given] = known
    return twin, ids
