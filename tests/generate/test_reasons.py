"""Why a server refuses a request, in the forms of different servers.

What would break: users see "Error code: 422" and no reason, a reason runs over pages or repeats the
prompt, or a setting that a server does not know ends a stage.
"""

import json

import pytest

from montessori.generate.omission import changes_text, find_refused, leave_out
from montessori.generate.reasons import cut_reason, is_filtered, is_too_long, read_reason

DETAIL = [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not "
           "permitted", "input": "a whole prompt"}]  # fmt: skip
SENT = {"model": "big", "seed": 1, "temperature": 0.0, "top_p": 1.0, "max_tokens": 9}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "no room", "param": "seed", "code": 4}}, "no room; param seed"),
        ({"error": "no room", "error_type": "validation"}, "no room"),
        ({"detail": DETAIL}, "body.seed: Extra inputs are not permitted"),
        ({"detail": "no room"}, "no room"),
        ({"object": "error", "message": {"detail": DETAIL}}, "body.seed: Extra inputs are not pe"),
        ({"error": {"message": "Provider error", "metadata": {"raw": '{"error": "no room"}'}}},
         "Provider error; no room"),
        ({"errors": ["no room", "no seed"]}, "no room; no seed"),
        ({"unheard": "of"}, '{"unheard": "of"}'),
        ("no room", "no room"),
    ],
)  # fmt: skip
def test_the_reason_is_found_in_every_form(body, expected):
    assert read_reason(json.dumps(body)).startswith(expected)
    assert "whole prompt" not in read_reason(json.dumps(body))


def test_pages_texts_and_nothing_are_shown_on_one_line():
    page = "<!doctype html><html><head><style>p {}</style></head><body><h1>No\nroom</h1></body>"
    assert read_reason(page) == "No room"
    assert read_reason("no\x1b[31m room\n") == "no\\x1b[31m room"
    assert read_reason('{"error": "half \\ud83d"}') == "half \\ud83d"
    assert read_reason("  ") == "no reason"
    assert len(cut_reason("x" * 5000)) < 400


@pytest.mark.parametrize(
    "reason",
    [
        "This model's maximum context length is 512 tokens. However, you requested 700",
        "validation: `inputs` tokens + `max_new_tokens` must be <= 4096",
        "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
        "prompt is too long: 200001 tokens > 200000 maximum",
        "the request exceeds the available context size",
        "The input token count (9) exceeds the maximum number of tokens allowed (8)",
        "code context_length_exceeded",
    ],
)
def test_prompts_that_are_too_long_are_known(reason):
    assert is_too_long(reason)
    assert not find_refused(reason, SENT)


def test_prompts_that_a_filter_refuses_are_known():
    assert is_filtered("the prompt was refused by the content policy of this deployment")
    assert is_filtered("Your input was flagged")
    assert not is_filtered("temperature 0.0 cannot be used with this model, only 1")
    assert not is_too_long("max_tokens is too large: 9. This model supports 4 completion tokens")


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("temperature 0.0 cannot be used with this model, only 1", {"temperature"}),
        ("body.seed: Extra inputs are not permitted", {"seed"}),
        ("validation: `top_p` must be < 1.0", {"top_p"}),
        ("'max_tokens' is not supported. Use 'max_completion_tokens' instead.", {"max_tokens"}),
        ("max_tokens is too large: 9. This model supports 4 completion tokens", set()),
        ("presence_penalty is unknown", set()),  # was not sent
        ("Bad Request", set()),
    ],
)
def test_what_to_leave_out_is_what_was_sent_and_named(reason, names):
    assert find_refused(reason, SENT) == names


def test_log_probabilities_are_left_out_whatever_the_form_of_the_refusal():
    asked = SENT | {"logprobs": True, "top_logprobs": 20}
    for reason in ("no reason", "Bad Request", "top_logprobs exceeds the maximum of 5"):
        assert find_refused(reason, asked) == {"logprobs"}
    assert not find_refused("This model's maximum context length is 512 tokens.", asked)
    assert leave_out(asked, frozenset({"logprobs"})) == SENT


def test_the_most_tokens_are_always_sent_under_one_of_two_names():
    left = leave_out(SENT, frozenset({"max_tokens", "seed"}))
    assert left == {"model": "big", "temperature": 0.0, "top_p": 1.0, "max_completion_tokens": 9}
    assert changes_text(frozenset({"top_p", "temperature"}), SENT) == ("temperature",)
