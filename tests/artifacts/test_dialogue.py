"""Dialogues: turns taken apart and put together again.

What would break: a model is asked its second turn before its own first answer, or answers stand
behind the wrong questions.
"""

from hypothesis import given
from hypothesis import strategies as st

from montessori.artifacts.dialogue import (
    assistant_turns,
    build_dialogue,
    build_prompts,
    user_turns,
)

TEXTS = st.lists(st.text(max_size=5), max_size=5)


@given(TEXTS, TEXTS)
def test_turns_come_back_in_their_order(asked, answered):
    """With fewer answers than turns the dialogue is open; answers too many are not shown."""
    messages = build_dialogue(asked, answered)
    assert user_turns(messages) == tuple(asked)
    assert assistant_turns(messages) == answered[: len(asked)]


@given(TEXTS, TEXTS)
def test_an_answer_stands_directly_behind_its_turn(asked, answered):
    messages = build_dialogue(asked, answered)
    for number, (turn, answer) in enumerate(zip(asked, answered, strict=False)):
        assert messages[2 * number] == {"role": "user", "content": turn}
        assert messages[2 * number + 1] == {"role": "assistant", "content": answer}


def test_a_dialogue_of_two_turns_by_hand():
    assert build_dialogue(["one?", "two?"], ["1"]) == [
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two?"},
    ]
    assert build_dialogue([], ["1"]) == []


def test_prompts_are_dialogues_of_one_open_turn():
    assert build_prompts(["a", "b"]) == [
        [{"role": "user", "content": "a"}],
        [{"role": "user", "content": "b"}],
    ]
    assert build_prompts([]) == []


def test_a_system_message_belongs_to_nobody():
    messages = [{"role": "system", "content": "s"}, *build_dialogue(["u"], ["a"])]
    assert user_turns(messages) == ("u",)
    assert assistant_turns(messages) == ["a"]
