"""The ledger of paid answers: whole lines only, nothing lost, nothing of other work.

What would break: answers are paid for twice, a torn line makes a run unusable, or an answer to
another request is reused.
"""

import pytest

from montessori.errors import MontessoriError
from montessori.generate.ledger import Answer, Cost, Ledger, answer_key, read_spending


def filled(path):
    ledger = Ledger(path)
    ledger.add_answer("a", Answer("one\u2028two\n\ud800", 3, True), Cost(5, 4, 0.5))
    ledger.add_lost(Cost(5, 9, 0.25))
    ledger.add_answer("b", Answer("", 0, False), Cost(1, 0, 0.0))
    return ledger


def test_what_was_written_is_read_again(tmp_path):
    first = filled(tmp_path / "x" / "ledger.jsonl")
    second = Ledger(first.path)
    assert (
        second.answers
        == first.answers
        == {
            "a": Answer("one\u2028two\n\ufffd", 3, True),
            "b": Answer("", 0, False),
        }
    )
    assert second.total == first.total == Cost(11, 13, 0.75)
    assert read_spending(first.path) == {
        "half_characters": 1,
        "requests": 3,
        "prompt_tokens": 11,
        "completion_tokens": 13,
        "usd": 0.75,
    }
    assert read_spending(tmp_path / "none") is None


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_a_torn_last_line_is_cut_off_and_the_next_one_stands_alone(tmp_path, cut):
    path = filled(tmp_path / "ledger.jsonl").path
    path.write_bytes(path.read_bytes()[:-cut])
    ledger = Ledger(path)
    assert set(ledger.answers) == {"a"}
    ledger.add_answer("c", Answer("three", 1, True), Cost(1, 1, 0.0))
    assert set(Ledger(path).answers) == {"a", "c"}


@pytest.mark.parametrize("line", ["not json", "[]", '{"key": "a"}'])
def test_another_broken_line_is_an_error_that_names_it(tmp_path, line):
    path = filled(tmp_path / "ledger.jsonl").path
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")
    with pytest.raises(MontessoriError, match="cannot be read") as error:
        Ledger(path)
    assert f"{path}, line 2" in str(error.value)


def test_a_key_is_of_all_its_parts():
    parts = ("model", [1, 2], 3, {"temperature": 0.0})
    others = [
        ("model2", *parts[1:]),
        ("model", [1], *parts[2:]),
        (*parts[:2], 4, parts[3]),
        (*parts[:3], {"temperature": 1.0}),
    ]
    assert len({answer_key(*some) for some in [parts, *others]}) == 5
    assert answer_key(*parts) == answer_key(*parts)


def test_first_tokens_and_costs_are_read_again(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    answer = Answer("m", 1, False, (("m", -0.25), ("M", -1.5)))
    ledger.add_answer("a", answer, Cost(7, 1, 0.125))
    again = Ledger(ledger.path)
    assert again.answers == {"a": answer}
    assert again.costs == {"a": Cost(7, 1, 0.125)}
    filled(tmp_path / "other.jsonl")
    assert '"first"' not in (tmp_path / "other.jsonl").read_text()


def test_what_others_paid_for_is_known_and_costs_nothing(tmp_path):
    filled(tmp_path / "other.jsonl")
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add_answer("a", Answer("mine", 1, True), Cost(1, 1, 1.0))
    ledger.take_answers(tmp_path / "other.jsonl")
    assert ledger.answers["a"].text == "mine"
    assert ledger.answers["b"] == Answer("", 0, False)
    assert ledger.costs["b"] == Cost(1, 0, 0.0)
    assert (ledger.total, ledger.requests) == (Cost(1, 1, 1.0), 1)


def test_asking_for_log_probabilities_is_another_answer_and_not_asking_the_same_as_ever():
    from montessori.generate.engine import Sampling
    from montessori.generate.ledger import sample_key

    plain = {"max_new_tokens": 5, "temperature": 0.0, "top_p": 1.0, "presence_penalty": 0.0}
    assert sample_key("model", [1], 2, Sampling(5)) == answer_key("model", [1], 2, plain)
    assert sample_key("model", [1], 2, Sampling(5, logprobs=5)) != answer_key(
        "model", [1], 2, plain
    )


def test_half_characters_of_an_older_ledger_are_mended_and_whole_ones_stay(tmp_path):
    path = filled(tmp_path / "ledger.jsonl").path
    path.write_text(path.read_text().replace("\\ufffd", "\\ud83d\\ude00\\ud83d"))
    ledger = Ledger(path)
    assert ledger.answers["a"].text == "one\u2028two\n\U0001f600\ufffd"
    assert (
        ledger.sum_costs()["half_characters"] == 2
    )  # the one of this line, and the one counted in it
    ledger.answers["a"].text.encode()


def test_an_answer_without_its_text_is_named(tmp_path):
    path = filled(tmp_path / "ledger.jsonl").path
    path.write_text(path.read_text().replace('"text": "one', '"txet": "one'))
    with pytest.raises(MontessoriError, match="cannot be read") as error:
        Ledger(path)
    assert "remove this line" in str(error.value)


def test_refusals_and_settings_left_out_are_read_again(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add_answer("a", Answer("", 0, False, refused="content filter"), Cost())
    ledger.add_left_out(["seed"])
    again = Ledger(ledger.path)
    assert again.answers["a"].refused == "content filter"
    costs = {"requests": 1, "prompt_tokens": 0, "completion_tokens": 0, "usd": 0.0}
    assert again.sum_costs() == {**costs, "left_out": ["seed"]}
