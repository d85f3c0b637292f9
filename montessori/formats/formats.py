"""The formats: how each makes a prompt, ends a sample and reads an instruction from it.

A prompt is recorded as text. For `tags` and `prefill` it is a user's turn, which the chat template
renders; for `list` and `turn` it is all that the model continues.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from montessori.artifacts.dialogue import build_dialogue, join_system, user_turns
from montessori.formats import tags
from montessori.formats.edges import find_answer_edges, find_user_edges, find_user_end
from montessori.formats.prompts import render_instruction_prompt
from montessori.formats.tags import Written
from montessori.models import chat
from montessori.models.plain_text import mark_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FormatName = Literal["tags", "prefill", "list", "turn"]
Example = list[dict[str, str]]  # the dialogue of a row

#: An example in tags shows at most this many user turns; the tags have no place for more.
SHOWN_TURNS = 2


class Format(Protocol):
    """How a teacher is asked to write an instruction.

    `in_dialogue` says that a prompt is a whole user turn, which every engine can render. `plain`
    says that it is text without a chat template, which begins as the tokenizer begins a text;
    `rendered`, that it is what the template rendered, control tokens and all.
    """

    name: ClassVar[FormatName]
    plain: ClassVar[bool]
    in_dialogue: ClassVar[bool]
    rendered: ClassVar[bool]

    def write_prompt(
        self, examples: Sequence[Example], template: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> str:
        """The prompt that shows `examples`, as a probe records it; `template` is jinja text."""
        ...

    def open_text(self, prompt: str, tokenizer: "PreTrainedTokenizerFast") -> str:
        """What the model continues, of a recorded prompt."""
        ...

    def find_stops(
        self, examples: int, follow_ups: bool, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, ...]:
        """Texts that end a sample beside the model's end tokens.

        After so many `examples`; `follow_ups` says that some of them may have a second turn.
        """
        ...

    def cut_sample(self, text: str, finished: bool, stops: Sequence[str]) -> tuple[str, bool]:
        """The raw text of a sample up to its end, and whether it has come to its end.

        `text` is what the model wrote, and `finished` whether an end token ended it.
        """
        ...

    def read_instruction(self, raw: str) -> Written:
        """The instruction in a raw text, or why there is none."""
        ...

    def is_well_formed(self, raw: str) -> bool:
        """Whether a raw text keeps the format."""
        ...

    def has_begun(self, raw: str) -> bool:
        """Whether a raw text that was cut off had come to the instruction."""
        ...

    def split_text(
        self, prompt: str, raw: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, str]:
        """A raw text behind its prompt, as DPO trains it.

        What the model continued, and what it wrote from there on, with its end.
        """
        ...


@dataclass(frozen=True)
class Tags:
    """A user's turn asks for an instruction in tags; the assistant answers with one."""

    name: ClassVar[FormatName] = "tags"
    plain: ClassVar[bool] = False
    in_dialogue: ClassVar[bool] = True
    rendered: ClassVar[bool] = False

    def write_prompt(
        self, examples: Sequence[Example], template: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> str:
        """The template with tagged examples; the tokenizer is not needed."""
        turns = [user_turns(join_system(example)) for example in examples]
        shown = [tags.tag_turns(each[:SHOWN_TURNS]) for each in turns]
        return render_instruction_prompt(shown, template)

    def open_text(self, prompt: str, tokenizer: "PreTrainedTokenizerFast") -> str:
        """The dialogue up to where the assistant begins."""
        return chat.render_text(tokenizer, build_dialogue([prompt]), prompt=True)

    def find_stops(
        self, examples: int, follow_ups: bool, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, ...]:
        """None: the end of the assistant's turn."""
        return ()

    def cut_sample(self, text: str, finished: bool, stops: Sequence[str]) -> tuple[str, bool]:
        """The text as it is."""
        return text, finished

    def read_instruction(self, raw: str) -> Written:
        """The last pair of tags."""
        return tags.parse_instruction(raw)

    def is_well_formed(self, raw: str) -> bool:
        """One pair of tags, and nothing behind it."""
        return tags.is_well_formed(raw)

    def has_begun(self, raw: str) -> bool:
        """Whether there is an open tag."""
        return tags.OPEN in raw

    def split_text(
        self, prompt: str, raw: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, str]:
        """The dialogue, and the assistant's text with the end of its turn."""
        end = find_answer_edges(tokenizer, prompt)[1]
        return Tags().open_text(prompt, tokenizer), _as_text(tokenizer, raw) + end


@dataclass(frozen=True)
class Prefill(Tags):
    """As `tags`, but the assistant's answer begins with the open tag, which is in the prompt.

    A sample ends behind the closing tag: a model that must be led to the tag rarely ends there by
    itself. Raw texts that begin with another opening, ARTE's, are led alike; raw texts without an
    opening are answers as in `tags`.
    """

    name: ClassVar[FormatName] = "prefill"
    in_dialogue: ClassVar[bool] = False

    def open_text(self, prompt: str, tokenizer: "PreTrainedTokenizerFast") -> str:
        """The dialogue up to where the assistant's text begins, and the open tag."""
        return find_answer_edges(tokenizer, prompt)[0] + tags.OPEN

    def find_stops(
        self, examples: int, follow_ups: bool, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, ...]:
        """The closing tag, unless a follow-up may stand behind it."""
        return () if follow_ups else (tags.CLOSE,)

    def cut_sample(self, text: str, finished: bool, stops: Sequence[str]) -> tuple[str, bool]:
        """The open tag and the text, up to the end of the first instruction.

        The closing tag is put to a text that ended without it: some servers leave out the text at
        which they stop, and some models end their turn instead.
        """
        raw = tags.OPEN + text
        if finished and tags.CLOSE not in text:
            raw = raw.rstrip() + tags.CLOSE
        whole = tags.cut_after_tags(raw)
        return (raw, finished) if whole is None else (whole, True)

    def split_text(
        self, prompt: str, raw: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, str]:
        """The dialogue with the opening, and what the assistant wrote behind that."""
        opening = tags.find_opening(raw)
        if not opening:
            return super().split_text(prompt, raw, tokenizer)
        before, end = find_answer_edges(tokenizer, prompt)
        return before + opening, _as_text(tokenizer, raw.removeprefix(opening)) + end


class _InstructionAlone:
    """How a sample is read that is an instruction and nothing else."""

    def read_instruction(self, raw: str) -> Written:
        """The text without white space at its ends."""
        return _read_plain(raw)

    def is_well_formed(self, raw: str) -> bool:
        """Whether there is a text."""
        return bool(raw.strip())

    def has_begun(self, raw: str) -> bool:
        """Always: the instruction is all that is written."""
        return True


@dataclass(frozen=True)
class NumberedList(_InstructionAlone):
    """A numbered list of examples, which the model continues (Self-Instruct, arXiv 2212.10560).

    Needs no chat template and no training on dialogues. Examples and samples have one turn.
    """

    name: ClassVar[FormatName] = "list"
    plain: ClassVar[bool] = True
    in_dialogue: ClassVar[bool] = False
    rendered: ClassVar[bool] = False
    _ENDS: ClassVar[re.Pattern[str]] = re.compile(r"\n[ \t]*(\n|\d+ ?[.)])")

    def write_prompt(
        self, examples: Sequence[Example], template: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> str:
        """The template with numbered examples, each in one line, and the next number."""
        shown = []
        for number, example in enumerate(examples, 1):
            # A blank line or a new line in an example would look like its end.
            first = user_turns(join_system(example))[0]
            shown.append(f"{number}. {' '.join(first.split())}")
        text = render_instruction_prompt(shown, template).rstrip()
        return f"{text}\n{len(examples) + 1}."

    def open_text(self, prompt: str, tokenizer: "PreTrainedTokenizerFast") -> str:
        """The prompt as it is."""
        return prompt

    def find_stops(
        self, examples: int, follow_ups: bool, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, ...]:
        """A blank line, and the number behind the one that is written."""
        return "\n\n", f"\n{examples + 2}."

    def cut_sample(self, text: str, finished: bool, stops: Sequence[str]) -> tuple[str, bool]:
        """The text up to a blank line or the next number."""
        end = self._ENDS.search(text)
        return (text, finished) if end is None else (text[: end.start()], True)

    def split_text(
        self, prompt: str, raw: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, str]:
        """The list, and the item with the new line that ends it."""
        # Some tokenizers lose the blank behind the number when they decode.
        return prompt, f" {raw.strip()}\n"


@dataclass(frozen=True)
class Turn(_InstructionAlone):
    """The model writes the user's turn after its template's opening (Magpie, arXiv 2406.08464).

    Examples are earlier turns of the dialogue, with their responses; there may be none.
    """

    name: ClassVar[FormatName] = "turn"
    plain: ClassVar[bool] = False
    in_dialogue: ClassVar[bool] = False
    rendered: ClassVar[bool] = True

    def write_prompt(
        self, examples: Sequence[Example], template: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> str:
        """The dialogue of the examples, and the opening of the next user turn."""
        messages: list[Mapping[str, str]] = []
        for example in examples:
            messages += join_system(example)
        return find_user_edges(tokenizer, messages)[0]

    def open_text(self, prompt: str, tokenizer: "PreTrainedTokenizerFast") -> str:
        """The prompt without blanks at its end: tokens of words begin with their blank."""
        return prompt.rstrip(" ")

    def find_stops(
        self, examples: int, follow_ups: bool, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, ...]:
        """The end of a user's turn."""
        return (find_user_end(tokenizer),)

    def cut_sample(self, text: str, finished: bool, stops: Sequence[str]) -> tuple[str, bool]:
        """The text up to the first of `stops`."""
        ends = [text.index(stop) for stop in stops if stop in text]
        return (text[: min(ends)], True) if ends else (text, finished)

    def split_text(
        self, prompt: str, raw: str, tokenizer: "PreTrainedTokenizerFast"
    ) -> tuple[str, str]:
        """The dialogue, and the user's text with the end of the turn.

        The blanks that `open_text` left out stand before the user's text.
        """
        opened = self.open_text(prompt, tokenizer)
        blanks = prompt[len(opened) :]
        written = _as_text(tokenizer, raw)
        text = blanks + written.lstrip(" ") if blanks else written
        return opened, text.rstrip() + find_user_end(tokenizer)


FORMATS: Mapping[FormatName, Format] = MappingProxyType(
    {each.name: each for each in (Tags(), Prefill(), NumberedList(), Turn())}
)


def _as_text(tokenizer: "PreTrainedTokenizerFast", raw: str) -> str:
    """A raw text in which nothing is a control token: that of a row of one's own may hold one."""
    return mark_texts(tokenizer, [raw])[0]


def _read_plain(raw: str) -> Written:
    text = raw.strip()
    return Written((text,)) if text else Written((), "empty")
