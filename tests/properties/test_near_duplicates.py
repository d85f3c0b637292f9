"""The fast near-duplicate search against comparing all texts, on texts that hypothesis looks for.

What would break: a row is dropped or kept that comparing with all would not.

The search skips most comparisons by bounds on what two texts can share. A bound that is off by one
word is wrong only for a few texts.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from montessori.filters.near_duplicates import NearDuplicates
from montessori.filters.rouge import rouge_l, split_words
from tests.slow_twins import near_duplicates as slow

#: Few words, so that texts share many of them and repeat some; marks and cases that do not count.
WORDS = st.sampled_from(["a", "b", "c", "the", "The", "x1", "x2", "...", "é", "B-b"])
LIMITS = st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9]) | st.floats(0.0, 0.99)


def fast_decisions(texts, limit):
    """Keep what is no near-duplicate of a kept text, as the filters do."""
    seen, decisions = NearDuplicates(limit), []
    for text in texts:
        decisions.append(seen.near(text))
        if not decisions[-1]:
            seen.add(text)
    return decisions


@st.composite
def related_texts(draw):
    """Texts of which many are earlier ones with a few words dropped, doubled or moved."""
    texts = []
    for _ in range(draw(st.integers(1, 10))):
        if texts and draw(st.booleans()):
            some = draw(st.sampled_from(texts)).split()
            for _ in range(draw(st.integers(0, 2))):
                place = draw(st.integers(0, len(some)))
                some[place : place + draw(st.integers(0, 2))] = draw(st.lists(WORDS, max_size=2))
            texts.append(" ".join(some))
        else:
            texts.append(" ".join(draw(st.lists(WORDS, max_size=12))))
    return texts


@settings(max_examples=80)
@given(related_texts(), LIMITS)
def test_the_search_decides_as_comparing_with_every_kept_text(texts, limit):
    assert fast_decisions(texts, limit) == slow.decide(texts, limit)


@settings(max_examples=40)
@given(related_texts(), LIMITS)
def test_a_text_is_near_to_itself_if_it_has_a_word(texts, limit):
    for text in texts:
        seen = NearDuplicates(limit)
        seen.add(text)
        assert seen.near(text) == bool(split_words(text))


@given(st.lists(WORDS, max_size=15), st.lists(WORDS, max_size=15))
def test_rouge_l_is_that_of_the_table_of_prefixes(first, second):
    left, right = " ".join(first), " ".join(second)
    assert rouge_l(split_words(left), split_words(right)) == slow.rouge_l(left, right)


@settings(max_examples=40)
@given(related_texts(), st.floats(0.0, 0.98), st.floats(0.001, 0.01))
def test_a_text_near_at_a_limit_is_near_at_a_lower_one(texts, limit, more):
    *earlier, last = texts
    strict, loose = NearDuplicates(limit), NearDuplicates(limit + more)
    for text in earlier:
        strict.add(text)
        loose.add(text)
    assert strict.near(last) or not loose.near(last)
