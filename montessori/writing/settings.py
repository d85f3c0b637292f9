"""The sections of params.yaml that say how a teacher writes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InstructionParams:
    """Section `instruction`: how a teacher writes instructions."""

    template: str  # path of a jinja file
    seed_examples: int
    kept_examples: int
    samples: int  # instructions per prompt
    wave: int  # prompts
    max_new_tokens: int
    temperature: float
    top_p: float
    presence_penalty: float

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        at_least = {"seed_examples": 1, "kept_examples": 0, "samples": 1, "wave": 1}
        problems = [
            f"{key}: {getattr(self, key)} is below {least}"
            for key, least in at_least.items()
            if getattr(self, key) < least
        ]
        return problems + _sampling_problems(self)


@dataclass(frozen=True)
class ResponseParams:
    """Section `response`: how a teacher answers its instructions."""

    max_new_tokens: int
    temperature: float  # 0 is greedy
    top_p: float
    presence_penalty: float

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _sampling_problems(self)


@dataclass(frozen=True)
class FilterParams:
    """Section `filter`: which rows are kept."""

    min_characters: int
    max_characters: int
    rouge_l: float  # F-measure in [0, 1]; 1 switches it off
    banned_words: tuple[str, ...]
    first_character: bool
    min_latin: float  # share of the letters; 0 = any script
    broken_text: bool

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = []
        if not 0 <= self.min_characters <= self.max_characters:
            problems.append(
                f"min_characters: {self.min_characters} is not between 0 and max_characters "
                f"({self.max_characters})"
            )
        if any(not word.strip() for word in self.banned_words):
            problems.append("banned_words: a word is empty")
        return problems + _share_problems(self, "rouge_l", "min_latin")


@dataclass(frozen=True)
class CollapseParams:
    """Section `collapse`: shares past which a teacher counts as collapsed."""

    invalid: float
    duplicate: float
    largest_family: float

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return _share_problems(self, "invalid", "duplicate", "largest_family")


@dataclass(frozen=True)
class ProbeParams:
    """Section `probe`."""

    prompts: int

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        return [] if self.prompts >= 1 else [f"prompts: {self.prompts} is below 1"]


@dataclass(frozen=True)
class SynthParams:
    """Section `synth`."""

    rows: int  # kept rows, exactly
    attempts: float  # samples written at most, in multiples of rows

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        problems = [] if self.rows >= 1 else [f"rows: {self.rows} is below 1"]
        if self.attempts < 1:
            problems.append(f"attempts: {self.attempts} is below 1, so no dataset can be full")
        return problems


@dataclass(frozen=True)
class ResponseProbeParams:
    """Section `response_probe`: which instructions are answered, and how."""

    instructions: int  # the first with one turn; 0 = all
    samples: int  # responses to an instruction
    max_new_tokens: int
    temperature: float
    top_p: float
    instructions_per_part: int

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        least = {"instructions": 0, "samples": 2, "max_new_tokens": 1, "instructions_per_part": 1}
        problems = [
            f"{key}: {getattr(self, key)} is below {bound}"
            for key, bound in least.items()
            if getattr(self, key) < bound
        ]
        if self.temperature <= 0:
            problems.append(f"temperature: {self.temperature} makes all responses alike")
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: {self.top_p} is not in (0, 1]")
        return problems


def _sampling_problems(params: InstructionParams | ResponseParams) -> list[str]:
    problems = []
    if params.max_new_tokens < 1:
        problems.append(f"max_new_tokens: {params.max_new_tokens} is below 1")
    if params.temperature < 0:
        problems.append(f"temperature: {params.temperature} is below 0")
    if not 0 < params.top_p <= 1:
        problems.append(f"top_p: {params.top_p} is not in (0, 1]")
    return problems


def _share_problems(params: FilterParams | CollapseParams, *keys: str) -> list[str]:
    return [
        f"{key}: {getattr(params, key)} is not in [0, 1]"
        for key in keys
        if not 0 <= getattr(params, key) <= 1
    ]
