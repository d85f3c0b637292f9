"""Preference pairs of any table of scores, against plain loops over rows.

What would break: DPO is told to prefer a text that its scores do not prefer.

For any table of scores: chosen is above neutral, rejected below, both belong to one prompt and
differ, no prompt has more pairs than allowed, and the pairs are those of plain loops over rows.
"""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from montessori.artifacts.schemas import PROBE, SCORES
from montessori.pairs.within_prompt import PrefsParams, label_rows, make_pairs
from tests.slow_twins import pairs as slow

#: Multiples of 1/4, so that ties, equal gaps and exact margins are frequent and exact.
SCORE = st.integers(-8, 8).map(lambda quarters: quarters / 4)


@st.composite
def scored_probes(draw):
    """(PROBE, SCORES): prompts of a few samples, some dropped, some unscored, some texts equal."""
    probe, scores = [], []
    own_neutral = draw(st.none() | SCORE)
    for prompt in range(draw(st.integers(1, 4))):
        for sample in range(draw(st.integers(1, 5))):
            row_id = f"row{prompt}{sample}"
            text = draw(st.sampled_from([f"text {row_id}", "a text that several rows have"]))
            dropped = draw(st.sampled_from([None, None, None, "duplicate"]))
            probe.append(
                {
                    "row_id": row_id,
                    "prompt_id": f"p{prompt}",
                    "sample": sample,
                    "prompt": f"prompt {prompt}",
                    "raw": text,
                    "skill": "sums",
                    "dropped": dropped,
                }
            )
            if draw(st.sampled_from([True, True, True, False])):
                scores.append((row_id, f"p{prompt}", "all", draw(SCORE), own_neutral))
    if not scores:
        scores.append(("row00", "p0", "all", 0.0, own_neutral))
    table = pl.DataFrame(scores, schema=dict(SCORES), orient="row")
    order = draw(st.permutations(range(len(scores))))  # the table's order means nothing
    return pl.DataFrame(probe, schema=dict(PROBE)), table[list(order)]


SETTINGS = st.builds(
    PrefsParams,
    rule=st.sampled_from(["cross", "best-worst"]),
    neutral=st.sampled_from(["scores", "prompt", "prompt-mean"]),
    skills=st.just({}),
    margin=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    max_per_prompt=st.integers(0, 4),
    min_pairs=st.just(1),
)


def make(probe, scores, chosen):
    """The labelled rows and their pairs."""
    labelled = label_rows(scores, probe, chosen.neutral, chosen.skills)
    return labelled, make_pairs(labelled, chosen)


@settings(max_examples=50)
@given(scored_probes(), SETTINGS)
def test_a_pair_prefers_what_is_above_neutral_within_one_prompt(tables, chosen):
    probe, scores = tables
    labelled, pairs = make(probe, scores, chosen)
    row = {entry["row_id"]: entry for entry in labelled.iter_rows(named=True)}
    for pair in pairs.iter_rows(named=True):
        better, worse = row[pair["chosen_row"]], row[pair["rejected_row"]]
        assert better["score"] > better["neutral"]
        assert worse["score"] < worse["neutral"]
        assert better["prompt_id"] == worse["prompt_id"] == pair["prompt_id"]
        assert pair["chosen"] == better["raw"] != pair["rejected"] == worse["raw"]
        assert pair["chosen_score"] - pair["rejected_score"] > 0
    assert pairs["pair_id"].n_unique() == pairs.height


@settings(max_examples=40)
@given(scored_probes(), SETTINGS)
def test_no_prompt_has_more_pairs_than_allowed(tables, chosen):
    _, pairs = make(*tables, chosen)
    most = 1 if chosen.rule == "best-worst" else chosen.max_per_prompt or pairs.height
    for (_,), group in pairs.group_by("prompt_id", maintain_order=True):
        assert group.height <= most


@settings(max_examples=40)
@given(scored_probes(), SETTINGS)
def test_dropped_and_unscored_rows_are_in_no_pair(tables, chosen):
    probe, scores = tables
    _, pairs = make(probe, scores, chosen)
    kept = set(probe.filter(pl.col("dropped").is_null())["row_id"]) & set(scores["row_id"])
    assert {*pairs["chosen_row"], *pairs["rejected_row"]} <= kept


@settings(max_examples=50)
@given(scored_probes(), SETTINGS)
def test_the_pairs_are_those_of_plain_loops(tables, chosen):
    """Exactly, in order: the table decides which pairs DPO sees first."""
    labelled, pairs = make(*tables, chosen)
    probe, scores = tables
    known = {entry["row_id"]: entry for entry in scores.iter_rows(named=True)}
    rows = [
        entry | known[entry["row_id"]]
        for entry in probe.iter_rows(named=True)
        if entry["dropped"] is None and entry["row_id"] in known
    ]
    if not rows:
        assert pairs.height == 0
        return
    expected = slow.make_pairs(
        rows, chosen.rule, chosen.neutral, chosen.margin, chosen.max_per_prompt
    )
    found = list(zip(pairs["chosen_row"], pairs["rejected_row"], strict=True))
    assert found == expected
    assert labelled["row_id"].to_list() == [row["row_id"] for row in rows]
