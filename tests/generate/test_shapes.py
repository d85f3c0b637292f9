"""The shapes in which servers answer, read without one.

What would break: a field that a server leaves out, or writes in its own way, makes a paid answer
unusable, or what is no answer (a filter, a tool call, a cut text) becomes training text.
"""

import pytest

from montessori.generate.shapes import (
    FILTERED,
    TOOL_CALL,
    Message,
    count_answer,
    read_end,
    read_first,
    read_message,
    read_usage,
)


@pytest.mark.parametrize("word", ["stop", "STOP", "eos_token", "end_turn", "COMPLETE", "", None])
def test_every_other_word_is_an_end(word):
    assert read_end({"finish_reason": word}) == (True, "")
    assert read_end({}) == (True, "")


@pytest.mark.parametrize("word", ["length", "MAX_TOKENS", "model_length"])
def test_a_text_that_was_cut_is_no_end(word):
    assert read_end({"finish_reason": word}) == (False, "")


def test_filters_tools_and_failures_are_told_apart():
    assert read_end({"finish_reason": "content_filter"}).refused == FILTERED
    assert read_end({"finish_reason": "SAFETY"}).refused == FILTERED
    assert read_end({"finish_reason": "tool_calls"}).refused == TOOL_CALL
    with pytest.raises(ValueError, match="error"):
        read_end({"finish_reason": "error"})


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
TEXT = {"type": "text", "text": "Blue."}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Blue.", ("Blue.", "")),
        (None, ("", "")),
        ([], ("", "")),
        ([TEXT, TEXT], ("Blue.Blue.", "")),
        ([THOUGHT, TEXT], ("Blue.", "Hm.")),
        ([{"type": "reasoning", "summary": [TEXT]}, "Red."], ("Red.", "Blue.")),
        (TEXT, ("Blue.", "")),
        ([{"type": "image_url", "image_url": {"url": "x"}}, TEXT], ("Blue.", "")),
    ],
)
def test_content_is_a_text_parts_or_nothing(content, expected):
    assert read_message({"message": {"content": content}})[:2] == expected


def test_a_message_that_is_no_answer_says_why():
    tool = {"content": None, "tool_calls": [{"id": "a"}]}
    assert read_message({"message": tool}).refused == "tool call"
    assert read_message({"message": {"refusal": "I can't."}}).refused == "refused"
    assert read_message({"message": {"content": "Blue.", "refusal": None}}).refused == ""
    assert read_message({"message": None, "text": "Blue."}).text == "Blue."
    assert read_message({"finish_reason": "content_filter"}).text == ""
    for broken in ({}, {"message": None}):
        with pytest.raises(KeyError):
            read_message(broken)
    with pytest.raises(TypeError):
        read_message({"message": {"content": 3}})


def test_a_thought_apart_is_found_under_each_name():
    for name in ("reasoning", "reasoning_content"):
        message = read_message({"message": {"content": "Blue.", name: "Hm."}})
        assert message == ("Blue.", "Hm.", "")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 12}, (20, 12)),
        ({"prompt_tokens": 20, "total_tokens": 32}, (20, 12)),
        ({"prompt_tokens": "20", "completion_tokens": 12.0}, (20, 12)),
        ({"input_tokens": 20, "output_tokens": 12}, (20, 12)),
        ({"prompt_tokens": 20}, (20, None)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (None, None)),
        ({"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": "many"}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
        ([3], (None, None)),
    ],
)
def test_usage_is_taken_as_far_as_it_can_be_read(usage, expected):
    assert read_usage({"usage": usage}, "Blue.") == expected
    assert read_usage({}, "Blue.") == (None, None)


def test_tokens_of_a_thought_apart_are_not_the_answers():
    message = Message("Blue.", "So I think")
    assert count_answer({"usage": {}}, 30, message) == 10
    detailed = {"usage": {"completion_tokens_details": {"reasoning_tokens": 26}}}
    assert count_answer(detailed, 30, Message("Blue.")) == 4
    assert count_answer({"usage": {"completion_tokens_details": None}}, 30, Message("Blue.")) == 30
    assert count_answer({}, None, message) == 0


CHAT = {"content": [{"token": "m", "top_logprobs": [
    {"token": "M", "logprob": -2.0}, {"token": "m", "logprob": -0.5}]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        (CHAT, (("m", -0.5), ("M", -2.0))),
        ({"top_logprobs": [{"M": -2.0, "m": -0.5}]}, (("m", -0.5), ("M", -2.0))),
        ({"content": [{"top_logprobs": [{"token": "m", "logprob": None}]}]}, ()),
        ({"content": [{"token": "m", "logprob": -0.1}]}, ()),
        ({"content": None}, ()),
        ({"top_logprobs": None}, ()),
        ({}, ()),
        (None, ()),
        ("none", ()),
    ],
)
def test_log_probabilities_are_taken_where_they_can_be_read(logprobs, expected):
    assert read_first({"logprobs": logprobs}) == expected
    assert read_first({}) == ()
