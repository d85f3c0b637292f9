"""ROUGE-L to the last bit, and a search that decides as comparing with all does.

What would break: near-duplicates stay in a dataset, or rows at the very limit are decided
differently from the rouge_score package.
"""

import json
import random
from fractions import Fraction
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest

from montessori.filters.near_duplicates import NearDuplicates, prefix_length
from montessori.filters.rouge import f_measure, least_common_words, rouge_l, split_words

ROOT = Path(__file__).resolve().parents[2]
ALPACA = ROOT.parent / "shared" / "data" / "alpaca" / "alpagasus_random_9k.json"
LIMITS = (0.0, 0.3, 0.5, 0.7, 0.9, 0.95)


@pytest.fixture(scope="module")
def truth():
    """The F-measure of rouge_score."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    return lambda a, b: scorer.score(a, b)["rougeL"].fmeasure


@pytest.fixture(scope="module")
def real():
    """Real instructions and answers, short and long."""
    if not ALPACA.exists():
        pytest.skip("the shared folder with real rows is absent")
    rows = json.loads(ALPACA.read_text("utf-8"))[:400]
    return [row["instruction"] for row in rows[:200]] + [row["output"][:400] for row in rows]


def random_text(rng, vocabulary=12, longest=14):
    return " ".join(f"w{rng.randrange(vocabulary)}" for _ in range(rng.randint(0, longest)))


def changed(rng, text):
    """The text with a few words dropped, swapped and doubled."""
    some = text.split()
    for _ in range(rng.randint(0, 1 + len(some) // 4)):
        if not some:
            break
        at, to = rng.randrange(len(some)), rng.randrange(len(some))
        some[at], some[to] = some[to], some[at]
        some[at : at + 1] = [some[at]] * rng.randint(0, 2)
    return " ".join(some)


def decisions(texts, limit):
    near, found = NearDuplicates(limit), []
    for text in texts:
        found.append(near.near(text))
        if not found[-1]:
            near.add(text)
    return found, near.compared


def plain_decisions(texts, limit, score):
    kept, found = [], []
    for text in texts:
        found.append(any(score(text, other) > limit for other in kept))
        if not found[-1]:
            kept.append(text)
    return found


def test_rouge_l_is_that_of_rouge_score_to_the_last_bit(truth):
    rng = random.Random(0)
    pairs = [(random_text(rng), random_text(rng)) for _ in range(300)]
    pairs += [
        ("What's 3+4, then?", "what s 3 4 Then"),
        ("Ünï code", "uni code"),
        ("", "a"),
        ("", ""),
        ("naïve İstanbul K", "nai\u0308ve istanbul k"),
        ("a_b a-b", "A B a b"),
    ]
    for a, b in pairs:
        assert rouge_l(split_words(a), split_words(b)) == truth(a, b)


def test_rouge_l_of_real_rows_is_that_of_rouge_score(truth, real):
    assert len(real) == 600
    for a, b in pairwise(real):
        assert rouge_l(split_words(a), split_words(b)) == truth(a, b)


def test_rouge_l_by_hand():
    """Common subsequence "the cat sat" of lengths 4 and 5: 2 x 3 / 9."""
    assert rouge_l(
        split_words("the cat sat down"), split_words("the big cat just sat")
    ) == pytest.approx(6 / 9)


@pytest.mark.parametrize("limit", LIMITS)
def test_the_needed_subsequence_is_the_least_above_the_limit(limit):
    for m, n in product(range(1, 41), repeat=2):
        least = int(least_common_words(m, np.array([n]), limit)[0])
        assert f_measure(least, m, n) > limit
        assert least == 1 or not f_measure(least - 1, m, n) > limit


@pytest.mark.parametrize(("common", "m", "n", "above"), [(7, 10, 10, False), (7, 7, 13, True)])
def test_a_score_at_the_limit_falls_where_rouge_score_lets_it_fall(truth, common, m, n, above):
    """Both are exactly 0.7 = 2 x 7 / 20; the float of the second is a bit more."""
    assert Fraction(2 * common, m + n) == Fraction(7, 10)
    shared = " ".join(f"c{i}" for i in range(common))
    a, b = (
        " ".join([shared, *(f"{x}{i}" for i in range(size - common))])
        for x, size in (("a", m), ("b", n))
    )
    assert (truth(a, b) > 0.7) is above
    for first, second in ((a, b), (b, a)):
        near = NearDuplicates(0.7)
        near.add(first)
        assert near.near(second) is above


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("vocabulary", [3, 30, 3000])
def test_the_search_decides_as_comparing_with_all(limit, vocabulary):
    rng = random.Random(vocabulary)
    texts = []
    for _ in range(400):
        fresh = random_text(rng, vocabulary, longest=40)
        texts.append(changed(rng, rng.choice(texts)) if texts and rng.random() < 0.5 else fresh)
    found, compared = decisions(texts, limit)
    assert found == plain_decisions(
        texts, limit, lambda a, b: rouge_l(split_words(a), split_words(b))
    )
    assert any(found)
    assert not all(found)
    if vocabulary == 3000 and limit >= 0.5:
        assert compared < 600  # of up to 80,000 pairs


def test_real_rows_are_decided_as_by_rouge_score(truth, real):
    rng = random.Random(2)
    texts = real[:60] + real[200:240]
    texts += [changed(rng, text) for text in texts]
    found, compared = decisions(texts, 0.7)
    assert found == plain_decisions(texts, 0.7, truth)
    assert 20 < sum(found) < 100
    assert compared < 200  # of 19,900 pairs


@pytest.mark.parametrize("limit", LIMITS)
def test_a_prefix_is_as_long_as_the_least_overlap_asks(limit):
    for length in range(1, 60):
        others = [
            n
            for n in range(1, 400)
            if int(least_common_words(length, np.array([n]), limit)[0]) <= min(n, length)
        ]
        least = min(int(least_common_words(length, np.array([n]), limit)[0]) for n in others)
        assert prefix_length(length, limit) == length - least + 1
    assert prefix_length(0, limit) == 0


def test_texts_without_words_are_near_to_nothing():
    near = NearDuplicates(0.0)
    near.add("")
    near.add("???")
    assert not near.near("")
    assert not near.near("…")
    near.add("a")
    assert near.near("b a")


def test_a_limit_of_one_lets_everything_pass():
    near = NearDuplicates(1.0)
    near.add("a b c")
    assert not near.near("a b c")
    assert near.compared == 0
