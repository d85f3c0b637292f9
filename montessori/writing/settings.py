"""Settings of writing rows: how a teacher writes and answers, which rows are kept."""

from dataclasses import dataclass
from typing import Annotated

from montessori.formats.formats import FormatName
from montessori.graph.limits import (
    AtLeast,
    Count,
    FilePath,
    NotBlank,
    NotNegative,
    Positive,
    PositiveShare,
    Rows,
    Share,
    Tokens,
    Whole,
)

ShareOfSamples = Annotated[Share, "share of samples"]


@dataclass(frozen=True)
class InstructionParams:
    """Section `instruction`: how a teacher writes instructions."""

    template: FilePath
    seed_examples: Annotated[Whole, "examples"]
    kept_examples: Annotated[Whole, "examples"]
    samples: Annotated[Count, "instructions"]
    wave: Annotated[Count, "prompts"]
    max_new_tokens: Tokens
    temperature: NotNegative
    top_p: PositiveShare
    presence_penalty: float
    format: FormatName = "tags"

    def check(self) -> list[str]:
        """Only a turn can be written without examples."""
        if self.format == "turn" or self.seed_examples:
            return []
        return ["seed_examples: 0 is below 1; only with format: turn a prompt needs no examples"]


@dataclass(frozen=True)
class ResponseParams:
    """Section `response`: how a teacher answers its instructions."""

    max_new_tokens: Tokens
    temperature: NotNegative
    top_p: PositiveShare
    presence_penalty: float


@dataclass(frozen=True)
class FilterParams:
    """Section `filter`: which rows are kept."""

    min_characters: Annotated[Whole, "characters"]
    max_characters: Annotated[Whole, "characters"]
    rouge_l: Annotated[Share, "F-measure"]
    banned_words: tuple[Annotated[str, NotBlank()], ...]
    first_character: bool
    min_latin: Annotated[Share, "share of letters"]
    broken_text: bool

    def check(self) -> list[str]:
        """A text can be long enough and short enough."""
        if self.min_characters <= self.max_characters:
            return []
        return [
            f"min_characters: {self.min_characters} is above max_characters ({self.max_characters})"
        ]


@dataclass(frozen=True)
class CollapseParams:
    """Section `collapse`: shares past which a teacher counts as collapsed."""

    invalid: ShareOfSamples
    duplicate: ShareOfSamples
    largest_family: Annotated[Share, "share of kept rows"]


@dataclass(frozen=True)
class ProbeParams:
    """Section `probe`: how much probing data a teacher writes."""

    prompts: Annotated[Count, "prompts"]


@dataclass(frozen=True)
class SynthParams:
    """Section `synth`: how large a dataset is, and how many samples it may cost."""

    rows: Rows
    attempts: Annotated[float, AtLeast(1), "multiples of rows"]


@dataclass(frozen=True)
class ResponseProbeParams:
    """Section `response_probe`: which instructions are answered, and how."""

    instructions: Annotated[Whole, "instructions"]
    samples: Annotated[int, AtLeast(2), "responses"]
    max_new_tokens: Tokens
    temperature: Positive
    top_p: PositiveShare
    instructions_per_part: Annotated[Count, "instructions"]
