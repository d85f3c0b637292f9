"""Dialogues as text and tokens by a model's chat template, with loss masks and template hashes.

Generation, SFT, DPO, influence and evaluation all tokenise dialogues here, so that a model sees
the same tokens in training as in use. Messages are dicts `{"role": str, "content": str}`.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]

#: Special tokens that end a turn in the templates of common model families.
END_OF_TURN = ("<|end|>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end_of_text|>")

_GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True)
class Tokens:
    """Token ids of a dialogue and its loss mask, both of the same length.

    `mask[i]` is 1 when `ids[i]` is assistant text or the end of an assistant turn.
    """

    ids: list[int]
    mask: list[int]


def text_hash(template: str) -> str:
    """SHA-256 (hex) of a chat template's text."""
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


def template_hash(tokenizer: "PreTrainedTokenizerFast") -> str:
    """SHA-256 (hex) of the tokenizer's chat template. Raises MontessoriError without a template."""
    return text_hash(_require_template(tokenizer))


def folder_template(folder: Path) -> str:
    """The chat template text of a model folder, read without loading the tokenizer.

    Raises MontessoriError when the folder has none.
    """
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    config = folder / "tokenizer_config.json"
    if config.is_file():
        template = json.loads(config.read_text(encoding="utf-8")).get("chat_template")
        if isinstance(template, str):
            return template
    raise _no_template(str(folder))


def require_same_template(first: Path, second: Path) -> str:
    """The common template hash of two model folders, of which one was trained from the other.

    Raises MontessoriError when the hashes differ: the model would be used with other tokens than it
    was trained on.
    """
    hashes = [text_hash(folder_template(folder)) for folder in (first, second)]
    if hashes[0] != hashes[1]:
        raise MontessoriError(
            "two models of one line have different chat templates",
            where=f"{first} ({hashes[0][:12]}) and {second} ({hashes[1][:12]})",
            expected="the same chat_template.jinja along the line of a teacher or student",
            next="run `dvc repro --downstream models` to make the line again from one base model",
        )
    return hashes[0]


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """The fast tokenizer of a model folder.

    Raises MontessoriError when it is missing, has no end-of-sequence token or no chat template.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer_config.json").is_file():
        raise MontessoriError(
            "the model folder has no tokenizer",
            where=str(folder),
            expected="tokenizer.json and tokenizer_config.json",
            next="save the tokenizer into the base model's folder, then run `dvc repro`",
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    _require_template(tokenizer)
    if tokenizer.eos_token_id is None:
        raise MontessoriError(
            "the tokenizer has no end-of-sequence token",
            where=str(folder / "tokenizer_config.json"),
            expected='an "eos_token" that the chat template puts after an assistant turn',
            next="add it to tokenizer_config.json of the base model, then run `dvc repro`",
        )
    return tokenizer


def render_text(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message], *, prompt: bool = False
) -> str:
    """The dialogue as text; with `prompt`, ending where the assistant begins to write."""
    return _render_dialogue(tokenizer, messages, prompt)[0]


def render_prompts(
    tokenizer: "PreTrainedTokenizerFast", dialogues: Sequence[Sequence[Message]]
) -> list[list[int]]:
    """Token ids of dialogues that the assistant is to continue (generation prompt included).

    Tokenizing all texts in one call is several times faster than one after the other.
    """
    if not dialogues:
        return []
    texts = [render_text(tokenizer, messages, prompt=True) for messages in dialogues]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


def tokenize_dialogues(
    tokenizer: "PreTrainedTokenizerFast",
    dialogues: Sequence[Sequence[Message]],
    max_length: int,
) -> list[Tokens]:
    """Token ids and loss masks of finished dialogues, each cut to its first `max_length` tokens.

    The mask comes from the template's `{% generation %}` blocks, or, where it has none, from
    rendering ever longer prefixes of the dialogue. Raises MontessoriError when a prefix does not
    render to a prefix of the whole, because then no mask is right.
    """
    if not dialogues:
        return []
    located = [_locate_answers(tokenizer, messages) for messages in dialogues]
    encoded = tokenizer(
        [text for text, _ in located],
        add_special_tokens=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    rows = []
    encoded_rows = zip(encoded["input_ids"], encoded["offset_mapping"], located, strict=True)
    for ids, offsets, (_, spans) in encoded_rows:
        rows.append(Tokens(ids[:max_length], _loss_mask(offsets[:max_length], spans)))
    return rows


def end_of_turn_ids(tokenizer: "PreTrainedTokenizerFast") -> tuple[int, ...]:
    """Ids at which an assistant turn ends: the eos token and the usual end-of-turn tokens."""
    vocabulary = tokenizer.get_added_vocab()
    ids = {vocabulary[name] for name in END_OF_TURN if name in vocabulary}
    return tuple(sorted(ids | {tokenizer.eos_token_id} - {None}))


def special_texts(tokenizer: "PreTrainedTokenizerFast") -> tuple[str, ...]:
    """Texts that the tokenizer turns into special tokens; no row may contain one."""
    added = tokenizer.added_tokens_decoder.values()
    special = {str(token) for token in added if token.special}
    return tuple(sorted(special | set(tokenizer.all_special_tokens)))


def _no_template(where: str) -> MontessoriError:
    return MontessoriError(
        "the model has no chat template",
        where=where,
        expected="chat_template.jinja beside tokenizer.json",
        next="set model.fallback_template in params.yaml, then run `dvc repro`",
    )


def _require_template(tokenizer: "PreTrainedTokenizerFast") -> str:
    template = tokenizer.chat_template
    if not isinstance(template, str):
        raise _no_template(str(tokenizer.name_or_path))
    return template


@lru_cache(maxsize=16)
def _marks_generation(template: str) -> bool:
    return _GENERATION.search(template) is not None


def _render_dialogue(
    tokenizer: "PreTrainedTokenizerFast",
    messages: Sequence[Message],
    prompt: bool,
    spans: bool = False,
) -> tuple[str, list[tuple[int, int]]]:
    """The dialogue's text and, with `spans`, the character ranges of `{% generation %}` blocks."""
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        texts, ranges = render_jinja_template(
            conversations=[list(messages)],
            chat_template=_require_template(tokenizer),
            add_generation_prompt=prompt,
            return_assistant_tokens_mask=spans,
            **tokenizer.special_tokens_map,
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise MontessoriError(
            f"the chat template refuses a dialogue: {error}",
            where=f"{tokenizer.name_or_path}, roles {roles}",
            expected="a template that renders alternating user and assistant turns",
            next="put a simpler chat_template.jinja into the base model's folder",
        ) from error
    return texts[0], ranges[0] if spans else []


def _locate_answers(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message]
) -> tuple[str, list[tuple[int, int]]]:
    """The dialogue's text and the character range of each assistant turn with its end token."""
    ends = tuple({tokenizer.eos_token, *END_OF_TURN} - {None})
    if _marks_generation(_require_template(tokenizer)):
        text, spans = _render_dialogue(tokenizer, messages, prompt=False, spans=True)
        return text, [(start, _with_end(text, end, ends)) for start, end in spans]
    # without such blocks a turn is found by rendering the dialogue up to it and up to its end
    text = render_text(tokenizer, messages)
    spans = []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            opening = render_text(tokenizer, messages[:i], prompt=True)
            turn = render_text(tokenizer, messages[: i + 1])
            _check_prefix(tokenizer, opening, turn)
            _check_prefix(tokenizer, turn, text)
            spans.append((len(opening), _without_tail(turn, ends)))
    return text, spans


def _with_end(text: str, end: int, ends: tuple[str, ...]) -> int:
    """`end` moved behind an end-of-turn token that follows right after the block."""
    stop = next((mark for mark in ends if text.startswith(mark, end)), "")
    return end + len(stop)


def _without_tail(turn: str, ends: tuple[str, ...]) -> int:
    """Length of the turn without white space after its end-of-turn token."""
    stripped = turn.rstrip()
    return len(stripped) if stripped.endswith(ends) else len(turn)


def _check_prefix(tokenizer: "PreTrainedTokenizerFast", prefix: str, whole: str) -> None:
    if not whole.startswith(prefix):
        raise MontessoriError(
            "the chat template changes earlier turns when a dialogue goes on, so the assistant's "
            "tokens cannot be found",
            where=str(tokenizer.name_or_path),
            expected="a template in which each turn only adds text, or {% generation %} blocks",
            next="put {% generation %}...{% endgeneration %} around the assistant's text in "
            "chat_template.jinja of the base model",
        )


def _loss_mask(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> list[int]:
    """1 for tokens that begin inside a span, 0 for others and for tokens without characters.

    `offsets` are (start, end) characters per token, in order, as are the spans.
    """
    mask, k = [], 0  # span k is the first that ends behind the token's start
    for start, end in offsets:
        while k < len(spans) and spans[k][1] <= start:
            k += 1
        mask.append(int(k < len(spans) and start < end and spans[k][0] <= start))
    return mask
