"""Worked answers in the styles that a teacher is asked for (ARTE, arXiv 2406.19227, section 3).

A rationale is written from a task's own gold response, so that every style reaches the same
answer. The answer stands in `<ans>` tags, the form ARTE parses.
"""

from collections.abc import Callable

from montessori.lab.task import Turn

NAIVE = "Let's think step by step."


def steps_of(turn: Turn) -> list[str]:
    """The working lines of a gold response: all but the last of a worked one, none otherwise."""
    lines = turn.response.split("\n")
    return lines[:-1] if lines[-1].startswith("####") else []


def _tagged_style(turn: Turn) -> str:
    return f"<ans>{turn.answer}</ans>"


def _plain_style(steps: list[str], turn: Turn) -> str:
    numbered = [f"Step {i}: {step}." for i, step in enumerate(steps, 1)]
    return " ".join([*numbered, _tagged_style(turn)])


def _brief_style(steps: list[str], turn: Turn) -> str:
    return " ".join(["; ".join(steps), _tagged_style(turn)]).strip()


def _narrated_style(steps: list[str], turn: Turn) -> str:
    openers = ["First,", *["Then,"] * len(steps)]
    # There is one opener more than steps, hence not strict.
    told = [f"{opener} {step}." for opener, step in zip(openers, steps, strict=False)]
    return " ".join([*told, f"So the answer is {turn.answer}.", _tagged_style(turn)])


def _listed_style(steps: list[str], turn: Turn) -> str:
    return "\n".join([*[f"- {step}" for step in steps], _tagged_style(turn)])


def _restated_style(steps: list[str], turn: Turn) -> str:
    told = "; ".join(steps)
    # Without steps two blanks would meet.
    return f"We want the answer to: {turn.instruction} {told} {_tagged_style(turn)}".replace(
        "  ", " "
    )


#: The special prompts and how each is answered; the naive prompt is the one ARTE tunes towards.
STYLES: dict[str, Callable[[list[str], Turn], str]] = {
    NAIVE: _plain_style,
    "Answer with short equations only.": _brief_style,
    "Tell the solution in words.": _narrated_style,
    "Write the steps as a list.": _listed_style,
    "Say first what is asked.": _restated_style,
}


def write_rationale(turn: Turn, prompt: str) -> str:
    """The gold solution of `turn` in the style that `prompt` (a key of STYLES) asks for."""
    return STYLES[prompt](steps_of(turn), turn)
