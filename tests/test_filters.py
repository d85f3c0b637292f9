"""Filters: form, duplicates, exact ROUGE-L, decontamination."""

import random

import pytest

from montessori.filters import (
    FormFilter,
    Keeper,
    NearDuplicates,
    fingerprint,
    normalised,
    rouge_l,
    words,
)

FORM = FormFilter(6, 60, ("image", "go to"), first_character=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Add 1.", None),
        ("Add 1", "short"),
        ("a" * 61, "long"),
        ("Show an Image now", "banned word"),
        ("Please go to town", "banned word"),
        ("I imagine images", None),
        ("- Add 1 and 2", "first character"),
        ("Élan is what?", "first character"),
        ("3 plus 4 is?", None),
    ],
)
def test_form(text, problem):
    assert FORM.problem(text) == problem


def test_nothing_is_banned_without_words():
    assert FormFilter(0, 100).problem("") is None
    assert FormFilter(0, 100).problem("- image") is None


def test_texts_are_compared_without_case_space_and_outer_punctuation():
    assert normalised("  What is\n 3 plus 4? ") == normalised("what is 3  plus 4")
    assert fingerprint(["a", "b"]) != fingerprint(["a b"])


def random_text(rng, vocabulary=12):
    return " ".join(f"w{rng.randrange(vocabulary)}" for _ in range(rng.randint(0, 14)))


def test_rouge_l_is_that_of_rouge_score():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    rng = random.Random(0)
    pairs = [(random_text(rng), random_text(rng)) for _ in range(200)]
    pairs += [("What's 3+4, then?", "what s 3 4 Then"), ("Ünï code", "uni code"), ("", "a")]
    for a, b in pairs:
        expected = scorer.score(a, b)["rougeL"].fmeasure
        assert rouge_l(words(a), words(b)) == pytest.approx(expected, abs=1e-12)


def test_rouge_l_by_hand():
    """Common subsequence "the cat sat" of lengths 4 and 5: 2 x 3 / 9."""
    assert rouge_l(words("the cat sat down"), words("the big cat just sat")) == pytest.approx(6 / 9)


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.7, 0.95])
def test_the_fast_search_finds_what_comparing_with_all_finds(limit):
    rng = random.Random(1)
    near, earlier = NearDuplicates(limit), []
    found = 0
    for _ in range(150):
        text = random_text(rng, vocabulary=6)
        scores = [rouge_l(words(text), words(other)) for other in earlier]
        best = max((s for s in scores if s > limit), default=0.0)
        assert near.closest(text) == pytest.approx(best)
        found += best > 0
        near.add(text)
        earlier.append(text)
    assert found > 0 or limit == 0.95


def test_a_limit_of_one_lets_everything_pass():
    near = NearDuplicates(1.0)
    near.add("a b c")
    assert near.closest("a b c") == 0.0


def test_rows_are_compared_with_seeds_evals_and_kept_rows():
    keeper = Keeper(
        FormFilter(3, 50), 0.8, known=[("Name the seed.",)], evals=[fingerprint(("An eval item",))]
    )
    assert keeper.problem(("name the SEED",)) == "duplicate"
    assert keeper.problem(("An eval item!",)) == "eval item"
    assert keeper.problem(("An eval item!", "Second turn")) is None
    assert keeper.problem(("one two three four five six",)) is None
    keeper.add(("one two three four five six",))
    assert keeper.problem(("one two three four five seven",)) == "near-duplicate"
    assert keeper.problem(("one two",)) is None
    assert keeper.problem(("short enough", "x" * 51)) == "long"
