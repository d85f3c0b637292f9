"""The prompts of a judge model, read from a folder with files in their published forms.

`alpaca_eval_clf.txt`: AlpacaEval's comparison, messages between <|im_start|>role and <|im_end|>.
`judge_prompts.jsonl`: MT-Bench's, as in FastChat: `name`, `system_prompt`, `prompt_template`.
A file may be missing where its benchmark is not judged.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from montessori.artifacts.json_lines import number_lines, read_file_text
from montessori.errors import MontessoriError
from montessori.evals.answers import remove_specials
from montessori.evals.judging.questions import Question
from montessori.generate.engine import Message

CHOICE, GRADING = "alpaca_eval_clf.txt", "judge_prompts.jsonl"
_CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)
_SLOT = re.compile(r"\{(\w+)\}")
#: Slots that a prompt must have, by the first word of its name and whether it is of two turns.
NEEDED: Mapping[tuple[str, bool], frozenset[str]] = {
    ("choice", False): frozenset({"instruction", "output_1", "output_2"}),
    ("single", False): frozenset({"question", "answer"}),
    ("single", True): frozenset({"question_1", "answer_1", "question_2", "answer_2"}),
    ("pair", False): frozenset({"question", "answer_a", "answer_b"}),
    ("pair", True): frozenset({"question_1", "question_2", "answer_a_1", "answer_a_2",
                               "answer_b_1", "answer_b_2"}),
}  # fmt: skip
OPTIONAL = frozenset({"question_1", "question_2", "ref_answer_1", "ref_answer_2"})


@dataclass(frozen=True)
class JudgePrompts:
    """Prompts by name: "choice" is AlpacaEval's, the others have FastChat's names."""

    folder: Path
    prompts: Mapping[str, tuple[Message, ...]] = field(repr=False)

    def dialogue_for(self, question: Question, specials: Sequence[str]) -> list[Message]:
        """The messages that ask the judge a question.

        specials: the judge's special tokens, which are removed from answers and items. Raises
        MontessoriError when the folder has no prompt for the question.
        """
        name = prompt_name(question)
        if name not in self.prompts:
            raise _prompt_error(f"there is no prompt {name}", self.folder)
        texts = slot_texts(question)
        texts = {slot: remove_specials(text, specials) for slot, text in texts.items()}
        messages: list[Message] = []
        for message in self.prompts[name]:
            # In one pass, so that a slot's name within an answer is not filled as well.
            content = _SLOT.sub(lambda slot: texts[slot[1]], message["content"])
            messages.append({**message, "content": content})
        return messages


def prompt_name(question: Question) -> str:
    """The name of the prompt for a question.

    From the second turn on, the prompt shows the turns before it. For items with gold responses it
    shows those too, except for AlpacaEval's.
    """
    if question.is_choice:
        return "choice"
    kind = "pair" if question.others else "single"
    version = "v2" if question.others else "v1"
    form = f"{kind}-math-v1" if any(question.item.responses) else f"{kind}-{version}"
    return form + ("-multi-turn" if question.turn > 1 else "")


def slot_texts(question: Question) -> dict[str, str]:
    """The text of every slot that a prompt for a question may have."""
    item, (first, second) = question.item, question.shown
    texts = {
        "instruction": item.turns[0],
        "question": item.turns[0],
        "output_1": _text_at(first, 0),
        "output_2": _text_at(second, 0),
        "answer": _text_at(question.texts, 0),
        "answer_a": _text_at(first, 0),
        "answer_b": _text_at(second, 0),
    }
    for turn in range(2):
        number = turn + 1
        texts[f"question_{number}"] = _text_at(item.turns, turn)
        texts[f"ref_answer_{number}"] = _text_at(item.responses, turn)
        texts[f"answer_{number}"] = _text_at(question.texts, turn)
        texts[f"answer_a_{number}"] = _text_at(first, turn)
        texts[f"answer_b_{number}"] = _text_at(second, turn)
    return texts


def _text_at(texts: Sequence[str], turn: int) -> str:
    return texts[turn] if turn < len(texts) else ""


# --------------------------------------------------------------------------------------- reading
def read_prompts(folder: Path) -> JudgePrompts:
    """Read the prompts of a folder.

    Raises MontessoriError when neither file is there or one cannot be read, and when a prompt
    lacks a slot or has an unknown one.
    """
    folder, prompts = Path(folder), dict[str, tuple[Message, ...]]()
    if (folder / CHOICE).is_file():
        text = read_file_text(folder / CHOICE)
        parts = _CHATML.findall(text)
        prompts["choice"] = tuple({"role": role, "content": part.strip()} for role, part in parts)
    if (folder / GRADING).is_file():
        prompts |= _read_grading(folder / GRADING)
    if not prompts:
        raise _prompt_error("there are no prompts for a judge", folder)
    for name, messages in prompts.items():
        _check_prompt(name, messages, folder)
    return JudgePrompts(folder, prompts)


def _read_grading(path: Path) -> dict[str, tuple[Message, ...]]:
    """Read FastChat's prompts: a system message and the user's, by name."""
    prompts: dict[str, tuple[Message, ...]] = {}
    for number, line in number_lines(read_file_text(path)):
        try:
            row = json.loads(line)
            system, user = row["system_prompt"], row["prompt_template"]
            prompts[str(row["name"])] = (
                {"role": "system", "content": str(system)},
                {"role": "user", "content": str(user)},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _prompt_error(f"line {number} is not a judge prompt ({error})", path) from error
    return prompts


def _check_prompt(name: str, messages: Sequence[Message], folder: Path) -> None:
    """Raise MontessoriError unless a prompt has the slots of its kind; other prompts may be any."""
    several = name.endswith("-multi-turn")
    needed = NEEDED.get((name.partition("-")[0], several))
    if needed is None:
        return
    slots: set[str] = set()
    for message in messages:
        slots.update(_SLOT.findall(message["content"]))
    missing, unknown = needed - slots, slots - needed - OPTIONAL
    if missing or unknown or not messages:
        what = f"lacks {{{'}, {'.join(sorted(missing))}}}" if missing else f"has {sorted(unknown)}"
        raise _prompt_error(f"the prompt {name} {what}", folder)


def _prompt_error(what: str, where: Path) -> MontessoriError:
    return MontessoriError(
        what,
        where=str(where),
        expected=f"{CHOICE} and {GRADING} in the forms of AlpacaEval and FastChat",
        next="compare with montessori/templates/judge, or set judge.prompts in params.yaml",
    )
