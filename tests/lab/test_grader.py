"""Grades of answers, worked out by hand.

What would break: a wrong answer is right, or a right one wrong, in every benchmark and signal of
the lab.
"""

import random
import time

import pytest

from montessori.lab.families import FAMILIES
from montessori.lab.grader import Grade, grade_responses, recognise_task

SUM = recognise_task(["What is 17 plus 25?"])
STORY = recognise_task(
    ["Tom has 12 bags of 5 pens and finds 7 more. How many pens does Tom have now?"]
)
CHOICE = recognise_task(["What is 3 plus 4?\nA. 6\nB. 7\nC. 8\nD. 17"])
LIST = recognise_task(["Count up from 4 to 10 in steps of 3."])
WORDS = recognise_task(["Reverse this list: sun, moon, tree."])
CAPITAL = recognise_task(["What is the capital of France?"])
DIALOGUE = recognise_task(["What is 17 plus 25?", "Now add 3 to that."])
ONE_STEP = recognise_task(["Tom has 12 pens and buys 7 more. How many pens does Tom have now?"])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_the_gold_response_is_right(family):
    rng = random.Random(9)
    for _ in range(50):
        task = family.make_task(rng)
        gold = grade_responses(task, [turn.response for turn in task.turns])
        assert all(gold.correct)
        assert all(gold.flexible)
        assert gold.quality == 1.0


@pytest.mark.parametrize(
    ("task", "response", "quality"),
    [
        (SUM, "42", 1.0),
        (SUM, " 42. \n", 1.0),
        (SUM, "43", 0.3),
        (SUM, "yes", 0.1),
        (SUM, "42 43", 0.1),
        (SUM, "42\nWhat is 3 plus 4?", 0.1),
        (SUM, "", 0.0),
        (SUM, " \n\t...", 0.0),
        (LIST, "4, 7, 10", 1.0),
        (LIST, "4,  7, 10.", 1.0),
        (LIST, "10, 7, 4", 0.3),
        (LIST, "4, 7", 0.3),
        (LIST, "10", 0.1),
        (WORDS, "Tree, moon, sun", 1.0),
        (WORDS, "moon, tree", 0.3),
        (WORDS, "tree moon sun", 0.1),
        (CAPITAL, "paris.", 1.0),
        (CAPITAL, "Rome", 0.3),
        (CAPITAL, "12", 0.1),
        (STORY, "12 x 5 = 60\n60 + 7 = 67\n#### 67", 1.0),
        (STORY, "5 x 12 = 60\n7 + 60 = 67\n####67", 1.0),
        (STORY, "12 x 5 = 50\n50 + 7 = 67\n#### 67", 0.8),
        (STORY, "#### 67", 0.8),
        (STORY, "The answer is 67.", 0.5),
        (STORY, "67", 0.5),
        (STORY, "12 x 5 = 60\n60 + 7 = 66\n#### 66", 0.3),
        (STORY, "12 x 5 = 60", 0.1),
        (STORY, "12 x 5 = 60\n60 + 7 = 67\n#### 67\nTom has 3", 0.1),
        (STORY, "12 x 5 = 60\n60 + 7 = 67\n#### 67\nand more", 0.1),
        (STORY, "", 0.0),
        (CHOICE, "B", 1.0),
        (CHOICE, "b.", 1.0),
        (CHOICE, "(B)", 1.0),
        (CHOICE, "B. 7", 1.0),
        (CHOICE, "B) 7", 1.0),
        (CHOICE, "7", 1.0),
        (CHOICE, "A. 6", 0.3),
        (CHOICE, "8", 0.3),
        (CHOICE, "B. 8", 0.1),
        (CHOICE, "B. 7 C. 8", 0.1),
        (CHOICE, "E", 0.1),
        (CHOICE, "Bananas", 0.1),
    ],
)
def test_quality(task, response, quality):
    result = grade_responses(task, [response])
    assert result.quality == quality
    assert result.correct == (quality >= 0.8,)
    assert result.flexible == (quality >= 0.5,)


def test_a_dialogue_is_graded_turn_by_turn():
    assert grade_responses(DIALOGUE, ["42", "45"]) == Grade((True, True), 1.0, (True, True))
    assert grade_responses(DIALOGUE, ["42", "44"]).correct == (True, False)
    assert grade_responses(DIALOGUE, ["42", "44"]).quality == pytest.approx((1.0 + 0.3) / 2)
    assert grade_responses(DIALOGUE, ["42"]).correct == (True, False)
    assert grade_responses(DIALOGUE, []).quality == 0.0
    assert grade_responses(DIALOGUE, ["42", "45", "46"]).correct == (True, True)


@pytest.mark.parametrize("task", [SUM, STORY, CHOICE, LIST, DIALOGUE, ONE_STEP])
@pytest.mark.parametrize(
    "text",
    [
        "4" * 1_000_000,
        "4, " * 333_333,
        "a-" * 500_000,
        " " * 1_000_000,
        "####" * 400,
        "#### " + "9" * 1900,
        "1 + 1 = " * 240,
        "\x00\x07\x1b[0m\ud800",
        "\u0663\u00b2\u2028",
        "(((((B. " * 200,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_no_text_raises_or_takes_long(task, text):
    start = time.perf_counter()
    result = grade_responses(task, [text] * len(task.turns))
    assert not any(result.correct)
    assert 0.0 <= result.quality <= 0.3
    assert time.perf_counter() - start < 0.5
