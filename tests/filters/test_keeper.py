"""The filters together: order of reasons, what counts as earlier.

What would break: a dropped row still blocks later ones, a duplicate of a seed is kept, or the
reason in the table is not the first that applies.
"""

from montessori.filters.contamination import EvalItems
from montessori.filters.fingerprint import fingerprint, normalise_text
from montessori.filters.form import FormFilter
from montessori.filters.keeper import Keeper

ITEM = "one two three four five six seven eight"


def evals(ngram=0):
    items = EvalItems(ngram)
    items.add("a", ("An eval item",))
    items.add("b", (ITEM,))
    return items


def test_texts_are_compared_without_case_space_and_outer_punctuation():
    assert normalise_text("  What is\n 3 plus 4? ") == normalise_text("what is 3  plus 4")
    assert fingerprint(["a", "b"]) != fingerprint(["a b"])


def test_rows_are_compared_with_seeds_evals_and_kept_rows():
    keeper = Keeper(FormFilter(3, 50), 0.8, known=[("Name the seed.",)], evals=evals())
    assert keeper.problem(("name the SEED",)) == "duplicate"
    assert keeper.problem(("An eval item!",)) == "eval item"
    assert keeper.problem(("An eval item!", "Second turn")) == "eval item"
    assert keeper.problem(("An eval", "item!")) is None
    assert keeper.problem(("un deux trois quatre cinq six",)) is None
    keeper.add(("un deux trois quatre cinq six",))
    assert keeper.problem(("un deux trois quatre cinq sept",)) == "near-duplicate"
    assert keeper.problem(("un deux",)) is None
    assert keeper.problem(("short enough", "x" * 51)) == "long"


def test_long_items_are_found_inside_turns_and_responses():
    keeper = Keeper(FormFilter(3, 90), 1.0, evals=evals(ngram=6))
    assert keeper.problem((f"Count: {ITEM}!",)) == "eval item"
    assert keeper.problem(("First turn", f"Now say {ITEM}")) == "eval item"
    assert keeper.response_problem(f"It goes {ITEM.upper()}, doesn't it?") == "eval item"
    assert keeper.response_problem("An eval item") is None  # short ones are told by instructions
    assert Keeper(FormFilter(3, 90), 1.0, evals=evals()).response_problem(ITEM) is None
    assert Keeper(FormFilter(3, 90), 1.0).response_problem(ITEM) is None
