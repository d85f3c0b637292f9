"""The prompts of judges: files of a folder, slots, both orders.

What would break: a judge sees the answers in another order than is recorded, or text of an answer
opens a turn of the dialogue.
"""

import json
from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.evals.items import Item
from montessori.evals.judging.judge_prompts import CHOICE, GRADING, prompt_name, read_prompts
from montessori.evals.judging.questions import Question, TurnAnswer
from tests.evals.judge_case import PROMPTS

ITEM = Item("mt_bench-1", "math", "", "", ("one?", "two?"), ("", ""), ("gold one", "gold two"))
OURS = (TurnAnswer("ours 1"), TurnAnswer("ours 2"))
THEIRS = (TurnAnswer("theirs 1"), TurnAnswer("theirs 2"))


def question(turn=1, others=(), swapped=False, gold=True, benchmark="mt_bench"):
    responses = ITEM.responses if gold else ("", "")
    item = Item(*(getattr(ITEM, name) for name in list(ITEM.__dataclass_fields__)[:6]), responses)
    return Question(benchmark, item, turn, OURS, others, "run" if others else "", 0, swapped)


def shown(some, specials=()):
    dialogue = read_prompts(PROMPTS).dialogue_for(some, specials)
    assert [message["role"] for message in dialogue] == ["system", "user"]
    return "\n".join(message["content"] for message in dialogue)


@pytest.mark.parametrize(
    ("some", "name"),
    [
        (question(), "single-math-v1"),
        (question(2), "single-math-v1-multi-turn"),
        (question(gold=False), "single-v1"),
        (question(2, THEIRS, gold=False), "pair-v2-multi-turn"),
        (question(1, THEIRS), "pair-math-v1"),
        (question(1, THEIRS, benchmark="alpaca_eval"), "choice"),
    ],
)
def test_names_are_fastchats_and_our_folder_has_them_all(some, name):
    assert prompt_name(some) == name
    text = shown(some)
    assert "{" not in text
    wanted = ["one?", "ours 1", *(["theirs 1"] if some.others else [])]
    if some.turn == 2:
        wanted += ["two?", "ours 2", *(["theirs 2"] if some.others else [])]
    if "math" in name:
        wanted += ["gold one", *(["gold two"] if some.turn == 2 else [])]
    assert all(part in text for part in wanted)
    if some.turn == 1:
        assert "ours 2" not in text
        assert "gold two" not in text


def test_swapping_changes_places_and_nothing_else():
    plain, swapped = (shown(question(2, THEIRS, turned)) for turned in (False, True))
    assert plain.index("ours 1") < plain.index("theirs 1")
    assert swapped.index("theirs 1") < swapped.index("ours 1")
    assert sorted(plain) == sorted(swapped)


def test_special_tokens_of_the_judge_leave_the_texts():
    some = Question("mt_bench", ITEM, 1, (TurnAnswer("a<|end|>b"), OURS[1]))
    assert "ab" in shown(some, ("<|end|>",))


def folder(tmp_path: Path, choice=None, grading=None) -> Path:
    for name, text in ((CHOICE, choice), (GRADING, grading)):
        if text is not None:
            (tmp_path / name).write_text(text)
    return tmp_path


def row(**changes):
    good = {"name": "single-v1", "system_prompt": "", "prompt_template": "{question} {answer}"}
    return json.dumps(good | changes)


@pytest.mark.parametrize(
    ("choice", "grading", "message"),
    [
        (None, None, "there are no prompts"),
        ("<|im_start|>user\n{instruction} {output_1}<|im_end|>", None, "choice lacks {output_2}"),
        ("no markers {instruction} {output_1} {output_2}", None, "choice lacks"),
        (None, row(prompt_template="{question}"), "single-v1 lacks {answer}"),
        (None, row(prompt_template="{question} {answer} {mood}"), "single-v1 has ['mood']"),
        (None, row() + "\nnonsense", "line 2 is not a judge prompt"),
        (None, '{"name": "single-v1"}', "line 1 is not a judge prompt"),
    ],
)
def test_bad_folders_say_what_is_wrong(tmp_path, choice, grading, message):
    with pytest.raises(MontessoriError) as caught:
        read_prompts(folder(tmp_path, choice, grading))
    assert message in str(caught.value)
    assert caught.value.next


def test_a_prompt_that_is_needed_and_not_there_is_named(tmp_path):
    prompts = read_prompts(folder(tmp_path, None, row()))
    assert prompts.dialogue_for(question(gold=False), ())[1]["content"] == "one? ours 1"
    with pytest.raises(MontessoriError, match="no prompt single-math-v1-multi-turn"):
        prompts.dialogue_for(question(2), ())
