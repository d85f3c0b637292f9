"""A judge behind a real server: orders, log-probabilities, malformed verdicts, money.

What would break: a judge's taste for the first answer decides the win rate, unreadable verdicts
count as ties, or answers that are judged already are paid for again.
"""

import logging
import math

import polars as pl
import pytest

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.evals.metrics import compute_metrics, compute_outcomes
from tests.evals.judge_case import (
    answered,
    choice_of,
    hosted,
    judged,
    public_evals,
    rows_of,
)
from tests.generate.fake_server import FakeServer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Waits between tries a fiftieth as long."""
    for name in (
        "openai._base_client.INITIAL_RETRY_DELAY",
        "montessori.generate.server.FIRST_WAIT",
    ):
        monkeypatch.setattr(name, 0.01)


@pytest.fixture
def evals(tmp_path):
    return public_evals(tmp_path / "evals")


@pytest.fixture
def sides(tmp_path, evals):
    """Answers of a run, and of the run it is compared with."""
    ours = answered(evals, tmp_path / "ours", lambda item, turn: f"ours {item} {turn}")
    theirs = answered(
        evals, tmp_path / "theirs", lambda item, turn: f"theirs, longer, {item} {turn}"
    )
    return ours, theirs


def serve(reply, first=None, **more):
    server = FakeServer(lambda turns, seed: (reply(turns), True), models=["big-2026-01-01"], **more)
    server.first = first
    return server


def always_first(turns):
    return "m" if choice_of(turns) else "[[A]]" if "[[A]]" in turns[0] else "Rating: [[7]]"


def facts(tmp_path, name="run"):
    return read_json(tmp_path / "verdicts" / name / "judge.json")


def test_a_judge_that_prefers_what_comes_first_says_nothing_in_both_orders(tmp_path, evals, sides):
    with serve(always_first) as server:
        table = judged(
            tmp_path, evals, hosted(tmp_path, server.url), *sides, orders="both", pairwise=True
        )
    metrics = compute_metrics(table, None, facts(tmp_path))
    for name in ("alpaca_eval", "alpaca_eval_public"):
        assert rows_of(table, name).height == 12
        assert metrics[f"{name}_win_rate"] == metrics[f"{name}_discrete_win_rate"] == 50.0
        bias = metrics["judging"][name]
        assert (bias["win_rate_shown_first"], bias["win_rate_shown_second"]) == (100.0, 0.0)
        assert (bias["first_preferred"], bias["swapped"]) == (100.0, 50.0)
    wins = metrics["mt_bench_pairwise"]
    assert (wins["n_ties"], wins["inconsistent"], wins["win_rate_adjusted"]) == (12, 12, 50.0)


def test_a_drawn_order_brings_such_a_judge_near_fifty(tmp_path):
    evals = public_evals(tmp_path / "many", items=400)
    ours = answered(evals, tmp_path / "ours", lambda item, turn: f"ours {item}")
    theirs = answered(evals, tmp_path / "theirs", lambda item, turn: f"theirs {item}")
    (evals / "dev" / "mt_bench.jsonl").unlink()
    with serve(always_first) as server:
        model = hosted(tmp_path, server.url)
        table = judged(tmp_path, evals, model, ours, theirs, top_logprobs=0)
        pairs = rows_of(table, "alpaca_eval")
        asked = len(server.asked)
        back = rows_of(
            judged(tmp_path, evals, model, theirs, ours, "back", top_logprobs=0), "alpaca_eval"
        )
        assert len(server.asked) - asked == 400  # only the other run's against the reference
    assert pairs["preference"].to_list() == (~pairs["swapped"]).cast(pl.Float64).to_list()
    assert abs(pairs["swapped"].sum() - 200) < 3.5 * math.sqrt(100)  # a fair coin, sd 10
    assert pairs["preference"].to_list() == [1.0 - value for value in back["preference"]]


def test_a_judges_thought_is_not_read_for_its_verdict(tmp_path, evals, sides, caplog):
    """A thought names ratings and answers that are not the verdict; nothing behind it is said."""

    def reply(turns):
        if choice_of(turns):
            return "<think>m may be better.</think>\nM"
        cut = "ours mt_bench-82 2" in turns[-1]
        return "<think>Empty would be [[1]]." + ("" if cut else "</think>\nRating: [[8]]")

    listed = [("<think>", -0.1), ("m", -3.0)]
    with serve(reply, lambda turns: listed) as server:
        model = hosted(tmp_path, server.url)
        table = judged(tmp_path, evals, model, *sides, choice_tokens=64)
    grades = rows_of(table, "mt_bench")
    assert set(grades["score"].drop_nulls()) == {8.0}
    assert set(rows_of(table, "alpaca_eval")["method"]) == {"text"}
    metrics = compute_metrics(table, None, facts(tmp_path))
    assert metrics["judge"]["thinking"] == table.height
    cut = grades.filter(pl.col("score").is_null())
    assert set(cut["problem"]) == {"thinking only"}
    assert "switch the judge's thinking off" in caplog.text


def test_the_preference_is_that_of_the_log_probabilities(tmp_path, evals, sides):
    """p(m) = 0.6 and p(M) = 0.2 give 0.75 to what is shown first."""
    listed = [("m", math.log(0.6)), ("M", math.log(0.2)), ("The", math.log(0.1))]
    with serve(lambda turns: "M" if choice_of(turns) else "[[5]]", lambda turns: listed) as server:
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), *sides)
    pairs = rows_of(table, "alpaca_eval")
    expected = [0.25 if swapped else 0.75 for swapped in pairs["swapped"]]
    assert pairs["preference"].to_list() == pytest.approx(expected)
    assert set(pairs["method"]) == {"logprobs"}
    body = next(body for body in server.asked if body.get("logprobs"))
    assert (body["top_logprobs"], body["max_tokens"], body["temperature"]) == (5, 1, 0.0)
    metrics = compute_metrics(table, None, facts(tmp_path))
    rate = 100 * sum(expected) / 6
    assert metrics["alpaca_eval_win_rate"] == pytest.approx(rate)
    wins = sum(value > 0.5 for value in expected)
    assert metrics["alpaca_eval_discrete_win_rate"] == pytest.approx(100 * wins / 6)
    assert metrics["judge"]["logprobs"] is True
    assert metrics["judge"]["model"] == metrics["judge"]["name"] == "big-2026-01-01"


#: Refusals of log-probabilities: status and text, in the forms of OpenAI, FastAPI, a proxy.
NO_LOGPROBS = {
    "refuses": (400, "logprobs are not supported with this model"),
    "extra field": (
        422,
        '{"detail": [{"loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}]}',
    ),
    "too many": (400, '{"error": "`top_logprobs` exceeds the maximum of 4"}'),
    "no word": (400, "<html>Bad Request</html>"),
}


@pytest.mark.parametrize("how", ["silent", "null", *NO_LOGPROBS])
def test_without_log_probabilities_the_text_is_read_and_the_metrics_say_so(
    tmp_path, evals, sides, how, caplog
):
    with serve(lambda turns: "M" if choice_of(turns) else "[[5]]") as server:
        if how in NO_LOGPROBS:
            server.refusal = lambda body: NO_LOGPROBS[how] if "logprobs" in body else None
        elif how == "null":
            server.first = lambda turns: [("m", None), ("M", None)]
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), *sides)
    pairs = rows_of(table, "alpaca_eval")
    assert pairs["preference"].to_list() == pairs["swapped"].cast(pl.Float64).to_list()
    metrics = compute_metrics(table, None, facts(tmp_path))
    assert metrics["judge"]["logprobs"] is False
    assert "gives no log-probabilities: its text is read instead" in caplog.text
    assert metrics["judging"]["alpaca_eval"]["methods"] == {"text": 6}
    paid = [body for body in server.answered if choice_of([body["messages"][-1]["content"]])]
    assert len(paid) == 12


def test_malformed_verdicts_are_counted_shown_and_not_scored(tmp_path, evals, sides, caplog):
    said = {"Question 0": "I like it.", "Question 2": "Rating: [[11]]", "Question 4": "[[8.5]]"}

    def reply(turns):
        text = turns[-1]
        if choice_of(turns):
            return "both" if "Say 1 " in text else "m"
        return next((v for k, v in said.items() if k in text), "My rating: [6]")

    with serve(reply) as server:
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), *sides, choice_tokens=8)
    # twice on alpaca_eval-0001, and on both turns of mt_bench-81; the other two are [[11]]
    assert "of 24 verdicts of big-2026-01-01: 4 unparsed, 2 out of range" in caplog.text
    scores = {(r["item_id"], r["turn"]): r["score"] for r in rows_of(table, "mt_bench").to_dicts()}
    assert scores["mt_bench-81", 1] is scores["mt_bench-83", 2] is None
    assert (scores["mt_bench-85", 1], scores["mt_bench-82", 1]) == (8.5, 6.0)
    metrics = compute_metrics(table, None, facts(tmp_path))
    judging = metrics["judging"]
    assert judging["mt_bench"]["problems"] == {"out of range": 2, "unparsed": 2}
    shown = judging["mt_bench"]["problems_shown"][0]
    assert (shown["item_id"], shown["turn"], shown["raw"]) == ("mt_bench-81", 1, "I like it.")
    assert judging["alpaca_eval"]["problems"] == {"unparsed": 1}
    assert metrics["alpaca_eval_n_total"] == 5
    assert metrics["mt_bench"] == pytest.approx((3 * 6 + 8.5) / 4)
    assert metrics["mt_bench_categories"] == {"math": 6.0, "writing": 8.5}
    assert metrics["mt_bench_turns"]["1"] == pytest.approx((3 * 6 + 8.5) / 4)
    outcomes = {
        row["item_id"]: row["value"]
        for row in compute_outcomes(table, None).to_dicts()
        if row["benchmark"] != "alpaca_eval_public"
    }
    assert outcomes["alpaca_eval-0001"] is outcomes["mt_bench-81"] is None
    assert outcomes["mt_bench-82"] == pytest.approx(100 * 5 / 9)


def test_several_judge_runs_have_a_median_and_a_spread(tmp_path, evals, sides):
    """Three verdicts on each turn, 4, 6 and 9 by the repeat: mean 19/3, median 6, spread 5.

    Each verdict has a seed of its own, or the draws of a repeat would lean to the same side.
    """
    from montessori.evals.items import read_items
    from montessori.seeding import seed_of

    seeds, repeats = [], {}
    for item in read_items(evals, "dev", "mt_bench"):
        for turn in (1, 2):
            for repeat in range(3):
                repeats[seed_of(0, "judge", *item.turns, turn, repeat)] = repeat

    def reply(turns, seed):
        if choice_of(turns):
            return "m", True
        seeds.append(seed)
        return f"[[{(4, 6, 9)[repeats[seed]]}]]", True

    with FakeServer(reply, models=["big-2026-01-01"]) as server:
        table = judged(
            tmp_path, evals, hosted(tmp_path, server.url), *sides, repeats=3, temperature=0.7
        )
    assert len(seeds) == len(set(seeds)) == len(repeats)
    runs = compute_metrics(table, None, facts(tmp_path))["mt_bench_judge_runs"]
    assert (runs["spread"], runs["largest_spread"], runs["median"]) == (5.0, 5.0, 6.0)
    assert sorted(runs["scores"]) == [4.0, 6.0, 9.0]


def test_identical_answers_are_a_tie_that_costs_nothing(tmp_path, evals, sides):
    with serve(always_first) as server:
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), sides[0], sides[0])
    pairs = rows_of(table, "alpaca_eval")
    assert set(pairs["preference"]) == {0.5}
    assert set(pairs["method"]) == {"identical"}
    assert sum(choice_of([body["messages"][-1]["content"]]) for body in server.asked) == 6


def test_equal_answers_of_two_runs_are_judged_once(tmp_path, evals, sides):
    with serve(always_first) as server:
        model = hosted(tmp_path, server.url)
        first = judged(tmp_path, evals, model, *sides, name="one")
        paid = len(server.asked)
        copied = judged(tmp_path, evals, model, *sides, name="two")
        changed = answered(
            evals,
            tmp_path / "changed",
            lambda item, turn: (
                "new" if item == "mt_bench-83" and turn == 2 else f"ours {item} {turn}"
            ),
        )
        assert len(server.asked) == paid
        judged(tmp_path, evals, model, changed, sides[1], name="three")
        assert len(server.asked) == paid + 1
    assert first.equals(copied)
    assert facts(tmp_path, "one")["spent"]["requests"] == paid
    assert facts(tmp_path, "two")["spent"]["requests"] == 0
    assert not list((tmp_path / "work").glob("*.jsonl"))


def test_a_stage_that_was_killed_after_its_end_has_paid_what_it_paid(tmp_path, evals, sides):
    """Before DVC has recorded it, it runs again; with other settings it has paid nothing."""
    with serve(always_first) as server:
        model = hosted(tmp_path, server.url)
        judged(tmp_path, evals, model, *sides, name="one")
        whole = (tmp_path / "verdicts" / "one" / "judge.json").read_bytes()
        for repeats, same in ((1, True), (2, False), (2, False)):
            asked = len(server.asked)
            judged(tmp_path, evals, model, *sides, name="one", repeats=repeats)
            again = (tmp_path / "verdicts" / "one" / "judge.json").read_bytes()
            assert (again == whole) == same
            assert (len(server.asked) == asked) == same or repeats == 2
        assert facts(tmp_path, "one")["spent"]["requests"] > 0


def test_tokens_and_money_are_counted(tmp_path, evals, sides):
    with serve(always_first) as server:
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), *sides)
    sizes = [sum(len(m["content"]) for m in body["messages"]) for body in server.answered]
    metrics = compute_metrics(table, None, facts(tmp_path))
    spent = metrics["judge"]["spent"]
    assert (spent["requests"], spent["prompt_tokens"]) == (24, sum(sizes))
    money = (10 * spent["prompt_tokens"] + 30 * spent["completion_tokens"]) / 1e6
    assert spent["usd"] == pytest.approx(money)
    parts = [
        metrics["judging"][name]["usd"]
        for name in ("alpaca_eval", "alpaca_eval_public", "mt_bench")
    ]
    assert sum(parts) == pytest.approx(money)


def test_a_budget_stops_before_it_is_passed_and_keeps_what_was_paid(tmp_path, evals, sides):
    with serve(always_first) as server:
        model = hosted(tmp_path, server.url)
        with pytest.raises(MontessoriError, match="the budget ends here"):
            judged(
                tmp_path, evals, model, *sides, machine={"max_tokens": 12_000}, max_new_tokens=64
            )
        paid = len(server.answered)
        assert 3 < paid < 24
        assert not (tmp_path / "verdicts" / "run").exists()
        judged(tmp_path, evals, model, *sides, max_new_tokens=64)
        assert len(server.answered) == 24
    assert facts(tmp_path)["spent"]["requests"] == 24


def test_odd_answers_are_judged_and_counted(tmp_path, evals, sides):
    odd = {
        "alpaca_eval-0000": ("", 0, True),
        "alpaca_eval-0001": ("", 0, False),
        "alpaca_eval-0002": ("cut o", 9, False),
    }
    ours = answered(evals, tmp_path / "odd", lambda item, turn: odd.get(item, f"fine {item}"))
    with serve(always_first) as server:
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), ours, sides[1])
    metrics = compute_metrics(table, None, facts(tmp_path))
    for key in ("empty", "truncated", "beyond_context"):
        assert metrics[key] == {"alpaca_eval": 1, "alpaca_eval_public": 1, "mt_bench": 0}
    assert metrics["judging"]["alpaca_eval"]["answers"] == {
        "context": 1,
        "empty": 1,
        "truncated": 1,
    }


@pytest.mark.parametrize(
    ("reason", "problem"),
    [
        ("This model's maximum context length is 512 tokens.", "context"),
        ("refused by our content policy", "content filter"),
    ],
)
def test_a_prompt_that_the_judge_refuses_is_counted(tmp_path, evals, sides, reason, problem):
    def refusal(body):
        return (400, reason) if "Say 3 words" in body["messages"][-1]["content"] else None

    with serve(always_first) as server:
        server.refusal = refusal
        table = judged(tmp_path, evals, hosted(tmp_path, server.url), *sides)
    rows = rows_of(table, "alpaca_eval").to_dicts()
    assert [row["problem"] for row in rows] == ["", "", "", problem, "", ""]
    assert rows[3]["preference"] is None
    assert rows[3]["usd"] == 0.0
    judging = compute_metrics(table, None, facts(tmp_path))["judging"]
    assert judging["alpaca_eval"]["problems"] == {problem: 1}


def test_any_other_refusal_ends_the_stage(tmp_path, evals, sides):
    with serve(always_first) as server:
        server.refusal = lambda body: (400, "unknown field seed")
        with pytest.raises(MontessoriError, match="refuses a request.*unknown field seed"):
            judged(tmp_path, evals, hosted(tmp_path, server.url), *sides)


def test_a_model_id_without_a_date_is_warned_of_once(tmp_path, evals, sides, caplog):
    with FakeServer(lambda turns, seed: (always_first(turns), True), models=["gpt-nameless"]) as it:
        model = hosted(tmp_path, it.url, "gpt-nameless")
        with caplog.at_level(logging.WARNING):
            judged(tmp_path, evals, model, *sides)
            judged(tmp_path, evals, model, *sides, name="again")
    found = [record for record in caplog.records if "has no date" in record.message]
    assert len(found) == 1


def test_text_of_an_answer_fills_its_slot_and_no_other(tmp_path, evals, sides):
    sly = answered(evals, tmp_path / "sly", lambda item, turn: "{output_2} {instruction}")
    with serve(always_first) as server:
        judged(tmp_path, evals, hosted(tmp_path, server.url), sly, sides[1])
    texts = [body["messages"][-1]["content"] for body in server.asked]
    assert sum("{output_2} {instruction}" in text for text in texts) == 24


def test_the_labs_checker_refuses_items_without_a_key(tmp_path, evals, sides):
    from tests.evals.judge_case import ROOT

    with pytest.raises(MontessoriError, match="cannot judge item alpaca_eval-0000"):
        judged(tmp_path, evals, ROOT / "data" / "micro" / "judge.json", *sides)
    assert not (tmp_path / "verdicts").exists() or not list((tmp_path / "verdicts").iterdir())


def test_what_is_no_judge_is_refused(tmp_path, evals, sides):
    (tmp_path / "x.json").write_text('{"kind": "oracle"}')
    with pytest.raises(MontessoriError, match="not a judge"):
        judged(tmp_path, evals, tmp_path / "x.json", *sides)


def test_the_labs_benchmarks_go_through_the_same_code(tmp_path):
    """A model on the lab's items: gold answers in view, metrics under the lab's names."""
    from tests.evals.conftest import make_evals

    lab = make_evals(tmp_path / "lab")
    ours = answered(lab, tmp_path / "ours", lambda item, turn: f"ours {item} {turn}")
    theirs = answered(lab, tmp_path / "theirs", lambda item, turn: f"theirs {item} {turn}")

    def reply(turns):
        text = turns[-1]
        if choice_of(turns):
            return "m" if text.index("ours") < text.index("theirs") else "M"
        return "[[8]]" if "# Correct answer" in text else "[[2]]"

    with serve(reply) as server:
        table = judged(tmp_path, lab, hosted(tmp_path, server.url), ours, theirs)
    metrics = compute_metrics(table, None, facts(tmp_path))
    assert metrics["micro_alpaca_eval_win_rate"] == 100.0
    assert metrics["micro_mt_bench"] == 8.0
    assert set(metrics["judging"]) == {"micro_alpaca_eval", "micro_mt_bench"}
