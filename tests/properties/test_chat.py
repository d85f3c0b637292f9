"""Loss masks of any dialogue, for templates with and without generation blocks.

What would break: for some texts (spaces at the ends, several turns, other scripts) the model is
trained on the user's words, or not on all of its own.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montessori.artifacts.dialogue import build_dialogue
from montessori.models import chat
from tests.models.test_chat import END_OUTSIDE, LAB, PLAIN, marked
from tests.slow_twins.rendering import tokenize_dialogue
from tests.slow_twins.training import tokens_and_mask
from tests.tiny_models import tiny_tokenizer

TOKENIZERS = {"lab": LAB, "no blocks": PLAIN, "end outside the block": END_OUTSIDE}
#: Any text but the marks of special tokens.
TEXT = st.text(st.characters(exclude_characters="<|>", exclude_categories=["Cs"]), max_size=12)
TURNS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request):
    """A byte-level tokenizer with each of the templates."""
    made = tiny_tokenizer()
    made.chat_template = TOKENIZERS[request.param]
    return made


def dialogue_of(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    """Pairs of a user's and an assistant's text as messages."""
    return build_dialogue([user for user, _ in turns], [reply for _, reply in turns])


@settings(max_examples=15)
@given(turns=TURNS)
def test_what_is_learned_is_each_answer_and_its_end_and_nothing_else(turns, tokenizer):
    tokens = tokenize_dialogue(tokenizer, dialogue_of(turns), 10_000)
    assert marked(tokenizer, tokens) == [f"{reply}<|end|>" for _, reply in turns]


@settings(max_examples=15)
@given(turns=TURNS)
def test_ids_and_mask_are_those_put_together_by_hand(turns, tokenizer):
    dialogue = dialogue_of(turns)
    tokens = tokenize_dialogue(tokenizer, dialogue, 10_000)
    ids, trained = tokens_and_mask(tokenizer, dialogue)
    assert tokens.ids == ids
    assert [bool(mark) for mark in tokens.mask] == trained


@settings(max_examples=15)
@given(dialogues=st.lists(TURNS, max_size=4), length=st.integers(1, 40))
def test_many_at_once_are_as_one_by_one_and_cut_is_a_beginning(dialogues, length, tokenizer):
    every = [dialogue_of(turns) for turns in dialogues]
    together = chat.tokenize_dialogues(tokenizer, every, length)
    for dialogue, found in zip(every, together, strict=True):
        whole = tokenize_dialogue(tokenizer, dialogue, 10_000)
        assert found.ids == whole.ids[:length]
        assert found.mask == whole.mask[:length]


@settings(max_examples=15)
@given(turns=TURNS)
def test_a_prompt_is_the_dialogue_up_to_where_the_answer_begins(turns, tokenizer):
    """So a model is asked in the tokens that it was trained on."""
    dialogue = dialogue_of(turns)
    (prompt,) = chat.render_prompts(tokenizer, [dialogue[:-1]])
    tokens = tokenize_dialogue(tokenizer, dialogue, 10_000)
    assert tokens.ids[: len(prompt)] == prompt
    last = turns[-1][1]
    learned = tokenizer(last, add_special_tokens=False)["input_ids"]
    assert tokens.ids[len(prompt) :] == [*learned, tokenizer.eos_token_id]
    assert all(tokens.mask[len(prompt) :])
