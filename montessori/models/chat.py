"""Dialogues as text and tokens by a model's chat template, with loss masks and template hashes.

Generation, SFT, DPO, influence and evaluation all tokenise dialogues here, so that a model sees
the same tokens in training as in use. Messages are dicts `{"role": str, "content": str}`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.artifacts.dialogue import join_system
from montessori.errors import MontessoriError
from montessori.models.plain_text import control_texts, encode_ids, encode_texts, is_marked
from montessori.models.rendering import no_template_error, render_dialogue, require_template
from montessori.models.thinking import COMMON, ThoughtStyle, find_opened, read_style
from montessori.models.turns import (
    QUESTION,
    HiddenTurnError,
    Message,
    Span,
    closing_token,
    locate_turns,
    settle_end,
    shows_system,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

#: Dialogues of a call whose prompts are compared with those of generation.
COMPARED = 32

_GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True)
class Tokens:
    """Token ids of a dialogue and its loss mask, both of the same length.

    `mask[i]` is 1 when `ids[i]` is assistant text or the end of an assistant turn. `plain` says
    that a message holds the text of a control token, which is tokenized as text; `joined` that the
    system prompt stands at the beginning of the user's first turn.
    """

    ids: list[int]
    mask: list[int]
    plain: bool = False
    joined: bool = False


def text_hash(template: str) -> str:
    """SHA-256 (hex) of a chat template's text."""
    return hashlib.sha256(template.encode("utf-8")).hexdigest()


def template_hash(tokenizer: "PreTrainedTokenizerFast") -> str:
    """SHA-256 (hex) of the tokenizer's chat template. Raises MontessoriError without a template."""
    return text_hash(require_template(tokenizer))


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
    raise no_template_error(str(folder))


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
    require_template(tokenizer)
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
    """The dialogue as text; with `prompt`, ending where the assistant begins to write.

    A system message that the template does not show is joined to the user's first turn. Texts of
    control tokens in messages are marked (models/plain_text.py).
    """
    settled = settle_dialogues(tokenizer, [messages])[0]
    return render_dialogue(tokenizer, settled, prompt)[0]


def settle_dialogues(
    tokenizer: "PreTrainedTokenizerFast", dialogues: Sequence[Sequence[Message]]
) -> list[list[Message]]:
    """The messages of dialogues as the template is given them, see `render_text`."""
    controls = control_texts(tokenizer)
    settled: list[list[Message]] = []
    for messages in dialogues:
        shown = join_system(messages) if needs_join(tokenizer, messages) else messages
        settled.append([{**each, "content": controls.mark(each["content"])} for each in shown])
    return settled


def needs_join(tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message]) -> bool:
    """Whether there is a system message that the tokenizer's template refuses or leaves out."""
    if all(message["role"] != "system" for message in messages):
        return False
    return not takes_system(tokenizer)


def takes_system(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Whether the chat template shows the text of a system message."""
    return _takes_system(tokenizer, require_template(tokenizer))


def render_prompts(
    tokenizer: "PreTrainedTokenizerFast", dialogues: Sequence[Sequence[Message]]
) -> list[list[int]]:
    """Token ids of dialogues that the assistant is to continue (generation prompt included).

    Tokenizing all texts in one call is several times faster than one after the other. What becomes
    of system messages and of control tokens' texts: see `render_text`.
    """
    settled = settle_dialogues(tokenizer, dialogues)
    texts = [render_dialogue(tokenizer, messages, prompt=True)[0] for messages in settled]
    return encode_ids(tokenizer, texts)


def tokenize_dialogues(
    tokenizer: "PreTrainedTokenizerFast",
    dialogues: Sequence[Sequence[Message]],
    max_length: int,
) -> list[Tokens]:
    """Token ids and loss masks of finished dialogues, each cut to its first `max_length` tokens.

    The mask comes from the template's `{% generation %}` blocks, or, where it has none, from
    rendering parts of the dialogue (models/turns.py). Raises MontessoriError when no mask is right,
    or generation would see another prompt: looked at in up to `COMPARED` dialogues of a call.
    """
    if not dialogues:
        return []
    ends = _end_texts(tokenizer)
    settled = settle_dialogues(tokenizer, dialogues)
    located = [_locate_answers(tokenizer, messages, ends) for messages in settled]
    encoded = encode_texts(tokenizer, [text for text, _ in located])
    rows = []
    for messages, found, (text, spans) in zip(dialogues, encoded, located, strict=True):
        mask = _loss_mask(found.offsets[:max_length], spans)
        joined = needs_join(tokenizer, messages)
        rows.append(Tokens(found.ids[:max_length], mask, is_marked(text), joined))
    _require_same_prompts(tokenizer, dialogues, rows)
    return rows


def end_of_turn_ids(tokenizer: "PreTrainedTokenizerFast") -> tuple[int, ...]:
    """Ids at which an assistant turn ends: the eos token, and what the template closes it with."""
    return tuple(sorted(map(tokenizer.convert_tokens_to_ids, _end_texts(tokenizer))))


def thought_style(tokenizer: "PreTrainedTokenizerFast") -> ThoughtStyle:
    """How the template shows the thoughts of a model; the common style where it shows none."""
    try:
        return read_style(lambda part, prompt: render_dialogue(tokenizer, part, prompt)[0])
    except MontessoriError:
        return COMMON


def thought_closing(tokenizer: "PreTrainedTokenizerFast") -> str:
    """The text that ends a thought of the model, by its template; "" where it shows none."""
    style = thought_style(tokenizer)
    question = [{"role": "user", "content": QUESTION}]
    return style.closing or find_opened(render_text(tokenizer, question, prompt=True), style)


def special_texts(tokenizer: "PreTrainedTokenizerFast") -> tuple[str, ...]:
    """Texts that the tokenizer turns into control tokens; no row of a model may contain one."""
    return tuple(control_texts(tokenizer).marked)


@lru_cache(maxsize=8)
def _takes_system(tokenizer: "PreTrainedTokenizerFast", template: str) -> bool:
    # the template is an argument because tests and users set another one
    def render(messages: Sequence[Message], prompt: bool) -> str:
        return render_dialogue(tokenizer, messages, prompt)[0]

    return shows_system(render)


@lru_cache(maxsize=16)
def _marks_generation(template: str) -> bool:
    return _GENERATION.search(template) is not None


def _end_texts(tokenizer: "PreTrainedTokenizerFast") -> tuple[str, ...]:
    """The eos token and the token that the template closes an assistant turn with, if another."""
    eos = {tokenizer.eos_token} - {None}
    render = partial(render_text, tokenizer)
    tokens = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    closing = closing_token(lambda messages, prompt: render(messages, prompt=prompt), tokens, eos)
    return tuple(sorted(eos | {closing} - {""}))


def _locate_answers(
    tokenizer: "PreTrainedTokenizerFast", messages: Sequence[Message], ends: Sequence[str]
) -> tuple[str, list[Span]]:
    """The dialogue's text and the character range of each assistant turn with its end token."""
    if _marks_generation(require_template(tokenizer)):
        text, spans = render_dialogue(tokenizer, messages, prompt=False, spans=True)
        return text, [settle_end(text, span, ends) for span in spans]

    def render(part: Sequence[Message], prompt: bool) -> str:
        return render_dialogue(tokenizer, part, prompt)[0]

    try:
        return locate_turns(render, messages, ends)
    except HiddenTurnError as error:
        raise MontessoriError(
            f"the chat template cannot be trained with: {error}",
            where=f"{tokenizer.name_or_path}, roles {', '.join(m['role'] for m in messages)}",
            expected="a template in which each turn only adds text, or {% generation %} blocks",
            next="put {% generation %}...{% endgeneration %} around the assistant's text in "
            "chat_template.jinja of the base model, or leave rows of several turns out",
        ) from error


def _require_same_prompts(
    tokenizer: "PreTrainedTokenizerFast",
    dialogues: Sequence[Sequence[Message]],
    rows: Sequence[Tokens],
) -> None:
    """Raise unless rows begin with the tokens that generation sees.

    Answers that begin with white space are left out: such a text may merge with the prompt's end
    in any model, and says nothing about the template.
    """
    step = max(1, len(rows) // COMPARED)
    places = [i for i in range(0, len(rows), step) if _ends_with_text(dialogues[i])]
    prompts = render_prompts(tokenizer, [dialogues[i][:-1] for i in places])
    for i, prompt in zip(places, prompts, strict=True):
        kept = rows[i].ids[: len(prompt)]
        if kept != prompt[: len(kept)]:
            raise MontessoriError(
                "a row does not begin with the tokens that generation sees, so the model would be "
                "trained on other prompts than it is asked with",
                where=f"{tokenizer.name_or_path}, question {dialogues[i][-2]['content'][:60]!r}"
                if len(dialogues[i]) > 1
                else "",
                expected="a chat template whose generation prompt is how an assistant turn begins, "
                "and ends where a token ends",
                next="fix chat_template.jinja of the base model, then `dvc repro`",
            )


def _ends_with_text(messages: Sequence[Message]) -> bool:
    """Whether the last message is an answer that begins with a character."""
    last = messages[-1] if len(messages) else {"role": "", "content": ""}
    return last["role"] == "assistant" and last["content"][:1].strip() != ""


def _loss_mask(offsets: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[int]:
    """1 for tokens that begin inside a span, 0 for others.

    `offsets` are (start, end) characters per token, in order, as are the spans. A token without
    characters stands for blanks before its place, which ByteLevel's post-processor leaves out of
    the offsets (tokenizers, `trim_offsets`).
    """
    mask, k = [], 0  # span k is the first that ends behind the token's start
    for start, end in offsets:
        begin = start if start < end else start - 1
        while k < len(spans) and spans[k][1] <= begin:
            k += 1
        mask.append(int(k < len(spans) and spans[k][0] <= begin))
    return mask
