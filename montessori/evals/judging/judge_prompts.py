"""The prompts that a judge model sees, from a folder in the forms in which they are published.

`alpaca_eval_clf.txt`: AlpacaEval's comparison, messages between <|im_start|>role and <|im_end|>.
`judge_prompts.jsonl`: MT-Bench's, as in FastChat: `name`, `system_prompt`, `prompt_template`.
Either file may be missing where its benchmark is not judged.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from montessori.errors import MontessoriError
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
    """Prompts by name: "choice" of AlpacaEval, and FastChat's names of MT-Bench's."""

    folder: Path
    prompts: Mapping[str, tuple[Message, ...]] = field(repr=False)

    def dialogue_for(self, question: Question, specials: Sequence[str]) -> list[Message]:
        """What the judge sees of a question; texts in it lose the judge's special tokens.

        Raises MontessoriError when the folder has no prompt for it.
        """
        name = prompt_name(question)
        if name not in self.prompts:
            raise _prompt_error(f"there is no prompt {name}", self.folder)
        texts = {slot: _without(text, specials) for slot, text in slot_texts(question).items()}
        return [
            {**message, "content": _SLOT.sub(lambda slot: texts[slot[1]], message["content"])}
            for message in self.prompts[name]
        ]


def prompt_name(question: Question) -> str:
    """The name of the prompt for a question.

    A turn from the second on has the turns before it in view; items with gold responses are
    judged beside them, but for AlpacaEval's.
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
    found = {"instruction": item.turns[0], "question": item.turns[0]}
    found |= {"output_1": _text_at(first, 0), "output_2": _text_at(second, 0)}
    found |= {
        "answer": _text_at(question.texts, 0),
        "answer_a": _text_at(first, 0),
        "answer_b": _text_at(second, 0),
    }
    for turn in range(2):
        number = turn + 1
        found[f"question_{number}"] = _text_at(item.turns, turn)
        found[f"ref_answer_{number}"] = _text_at(item.responses, turn)
        found[f"answer_{number}"] = _text_at(question.texts, turn)
        found[f"answer_a_{number}"] = _text_at(first, turn)
        found[f"answer_b_{number}"] = _text_at(second, turn)
    return found


def _text_at(texts: Sequence[str], place: int) -> str:
    return texts[place] if place < len(texts) else ""


def _without(text: str, specials: Sequence[str]) -> str:
    for special in specials:
        text = text.replace(special, "")
    return text


# --------------------------------------------------------------------------------------- reading
def read_prompts(folder: Path) -> JudgePrompts:
    """The prompts of a folder.

    Raises MontessoriError: none of the two files is there, one cannot be read, a prompt lacks a
    slot or has an unknown one.
    """
    folder, prompts = Path(folder), dict[str, tuple[Message, ...]]()
    if (folder / CHOICE).is_file():
        text = (folder / CHOICE).read_text(encoding="utf-8")
        found = ({"role": role, "content": part.strip()} for role, part in _CHATML.findall(text))
        prompts["choice"] = tuple(found)
    if (folder / GRADING).is_file():
        prompts |= _read_grading(folder / GRADING)
    if not prompts:
        raise _prompt_error("there are no prompts for a judge", folder)
    for name, messages in prompts.items():
        _check_prompt(name, messages, folder)
    return JudgePrompts(folder, prompts)


def _read_grading(path: Path) -> dict[str, tuple[Message, ...]]:
    prompts: dict[str, tuple[Message, ...]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            system, user = row["system_prompt"], row["prompt_template"]
            prompts[str(row["name"])] = (
                {"role": "system", "content": str(system)},
                {"role": "user", "content": str(user)},
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _prompt_error(f"line {number} is no judge prompt ({error})", path) from error
    return prompts


def _check_prompt(name: str, messages: Sequence[Message], folder: Path) -> None:
    found = {slot for message in messages for slot in _SLOT.findall(message["content"])}
    several = name.endswith("-multi-turn")
    needed = NEEDED.get((name.partition("-")[0], several))
    if needed is None:
        return
    missing, unknown = needed - found, found - needed - OPTIONAL
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
