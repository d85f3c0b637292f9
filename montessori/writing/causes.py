"""Why a stage keeps too little of what a teacher writes: the likely cause, and what to do.

Causes are told by what is counted: the reasons for which samples were dropped.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from montessori.formats.formats import FormatName

#: Reason of a sample that is a thought without an answer behind it.
THINKING_ONLY = "thinking only"
#: What a server refuses, beside prompts that are too long (generate/shapes.py).
REFUSALS = ("content filter", "tool call", "refused")
#: Reasons that make a sample invalid: nothing usable came back.
INVALID = frozenset(
    {"no tags", "empty", "endless", "context", "special token"}
    | {"response empty", "response endless", "response context", "response special token"}
    | {THINKING_ONLY, f"response {THINKING_ONLY}"}
    | {*REFUSALS, *(f"response {name}" for name in REFUSALS)}
)
DUPLICATE = frozenset({"duplicate", "near-duplicate"})

#: The cause that each reason speaks for; every other reason is a filter's.
CAUSE_OF: Mapping[str, str] = MappingProxyType(
    {
        "no tags": "format",
        "empty": "format",
        "endless": "length",
        "response endless": "length",
        "context": "context",
        "response context": "context",
        "special token": "end token",
        "response special token": "end token",
        "response empty": "end token",
        THINKING_ONLY: "thinking",
        f"response {THINKING_ONLY}": "thinking",
        "duplicate": "sameness",
        "near-duplicate": "sameness",
        **dict.fromkeys((*REFUSALS, *(f"response {name}" for name in REFUSALS)), "server"),
    }
)
_OTHER_FORMATS: Mapping[FormatName, str] = MappingProxyType(
    {
        "tags": "set instruction.format to prefill, turn or (a base model) list",
        "prefill": "set instruction.format to turn or list",
        "list": "set instruction.format to turn or prefill",
        "turn": "show examples (instruction.seed_examples), or set instruction.format to list",
    }
)
_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "tuned teacher": "lower teacher_dpo.learning_rate or teacher_dpo.epochs",
        "length": "raise instruction.max_new_tokens, or response.max_new_tokens for `response "
        "endless`; if whole texts run on, the model has another end token: add its id to "
        "eos_token_id in generation_config.json of the base model",
        "context": "lower instruction.seed_examples or instruction.kept_examples, give shorter "
        "seeds, or take a teacher with a longer context",
        "end token": "the token with which the teacher ends its turn is not known: add its id to "
        "eos_token_id in generation_config.json of the base model",
        "thinking": "raise instruction.max_new_tokens or response.max_new_tokens, or switch "
        "thinking off: model.template_options, such as {enable_thinking: false}",
        "server": "the server refuses the prompts (its reason is in the log): give other seeds, or "
        "take another server",
        "sameness": "raise instruction.temperature or top_p, or give more and other seeds",
        "filter": "loosen the filter that drops most (section filter)",
    }
)
#: Where a teacher only answers (stage response_probe); the other steps are the same.
_ANSWER_STEPS: Mapping[str, str] = MappingProxyType(
    {
        **_STEPS,
        "length": "raise response_probe.max_new_tokens; if whole texts run on, the model has "
        "another end token: add its id to eos_token_id in generation_config.json of the base model",
        "context": "lower filter.max_characters, so that instructions are shorter, or take a "
        "teacher with a longer context",
        "thinking": "raise response_probe.max_new_tokens, or switch thinking off: "
        "model.template_options, such as {enable_thinking: false}",
        "sameness": "raise response_probe.temperature or top_p",
    }
)


@dataclass(frozen=True)
class Cause:
    """A cause of dropped samples: its name, how many samples speak for it, the next step."""

    name: str
    samples: int
    step: str


def find_causes(dropped: Counter[str], unbegun: int, form: FormatName, tuned: bool) -> list[Cause]:
    """The causes of dropped samples, the likeliest first.

    `dropped` counts the reasons; `unbegun` of the "endless" samples never came to the format, and
    `tuned` says that the teacher was tuned here. A tuned teacher is the likeliest cause, because
    its start has passed this check; but it has not changed the context.
    """
    counts: Counter[str] = Counter()
    for reason, number in dropped.items():
        counts[CAUSE_OF.get(reason, "filter")] += number
    counts["length"] -= unbegun
    counts["format"] += unbegun
    return _rank_causes(counts, {**_STEPS, "format": _format_step(form)}, tuned)


def find_answer_causes(dropped: Counter[str], tuned: bool) -> list[Cause]:
    """The causes of dropped responses, the likeliest first; see `find_causes`.

    `dropped` counts the reasons of a probe of responses, which has no instructions to drop.
    """
    counts: Counter[str] = Counter()
    for reason, number in dropped.items():
        counts[CAUSE_OF.get(f"response {reason}", CAUSE_OF.get(reason, "filter"))] += number
    return _rank_causes(counts, _ANSWER_STEPS, tuned)


def _rank_causes(counts: Counter[str], steps: Mapping[str, str], tuned: bool) -> list[Cause]:
    causes = [Cause(name, n, steps[name]) for name, n in counts.most_common() if n > 0]
    if tuned and not (causes and causes[0].name == "context"):
        causes.insert(0, Cause("tuned teacher", counts.total(), steps["tuned teacher"]))
    return causes


def _format_step(form: FormatName) -> str:
    return f"{_OTHER_FORMATS[form]} (docs/how-to/formats.md)"


def show_text(text: str, most: int = 80) -> str:
    """A text in quotes for an error, escaped, its middle left out where it is long."""
    shown = text if len(text) <= most else f"{text[: most * 2 // 3]} ... {text[-most // 3 :]}"
    return ascii(shown) if not shown.isprintable() else repr(shown)
