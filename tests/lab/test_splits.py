"""Splits depend on the content alone and keep it apart.

What would break: a test question is also a training question.
"""

import random
from collections import Counter

import pytest

from montessori.lab.families import FAMILIES
from montessori.lab.task import BUCKETS, bucket_of, draw_task

SHARES = {"train": 0.64, "reference": 0.12, "dev": 0.12, "test": 0.12}


def test_the_shares():
    counts = Counter(bucket_of(f"add|{a}|{b}") for a in range(200) for b in range(100))
    for name, share in SHARES.items():
        assert counts[name] / 20_000 == pytest.approx(share, abs=0.015)


def test_buckets_never_move():
    expected = {
        "add|17|25": "reference",
        "story_add|7|12|apple": "dev",
        "join_words|sun|flower": "reference",
        "reverse_list|sun,moon,tree": "train",
        "larger|3|9": "test",
        "metres|4|50": "train",
    }
    assert {key: bucket_of(key) for key in expected} == expected


def test_a_choice_lies_where_its_question_lies():
    rng = random.Random(0)
    for _ in range(200):
        key = FAMILIES["choice_units"].make_task(rng).key
        assert bucket_of(key) == bucket_of(key.removeprefix("choice_units/"))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_draw_stays_in_its_bucket(family):
    rng = random.Random(6)
    for name in BUCKETS if family.evaluated else ("train",):
        for _ in range(10):
            assert bucket_of(draw_task(family, name, rng).key) == name


def test_what_is_not_evaluated_is_only_trained_on():
    rng = random.Random(6)
    for family in FAMILIES.values():
        if not family.evaluated:
            assert bucket_of(family.make_task(rng).key) == "train"
            with pytest.raises(LookupError, match=f"{family.name} has no task in bucket 'test'"):
                draw_task(family, "test", rng)


def test_an_unknown_bucket_is_refused():
    with pytest.raises(ValueError, match="expected one of train, reference, dev, test"):
        draw_task(FAMILIES["add"], "validation", random.Random(0))


def test_draws_follow_the_generator_alone():
    first = [draw_task(f, "train", random.Random(3)) for f in FAMILIES.values()]
    assert first == [draw_task(f, "train", random.Random(3)) for f in FAMILIES.values()]
