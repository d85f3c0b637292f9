"""ARTE's pairs by hand: who is chosen, that the special prompt is erased, ties and refusals.

What would break: the teacher learns from pairs whose better side is worse, or learns a prompt that
it will never be shown.
"""

import polars as pl
import pytest

from montessori.artifacts.files import read_table, write_json, write_table
from montessori.artifacts.schemas import DRAFTS, PAIRS, SCORES
from montessori.errors import MontessoriError
from montessori.models.lineage import writer_hashes
from montessori.pairs.arte import (
    AlignParams,
    average_questions,
    join_scores,
    pair_questions,
    pair_rationales,
    write_arte_pairs,
)

SETTINGS = AlignParams(share=0.25, question_pairs=2, rationale_pairs=10, min_pairs=1)


def draft(question: int, style: int, task="t"):
    return {
        "row_id": f"{task}{question}-{style}",
        "messages": [],
        "instruction": f"q{question}",
        "response": f"r{question}-{style}",
        "skill": task,
        "prompt_id": f"p-{task}",
        "sample": question,
        "prompt": f"write questions of {task}",
        "raw": f"<Question_4>{question}",
        "dropped": None,
        "response_tokens": 1,
        "question_id": f"{task}{question}",
        "target": "1",
        "style": style,
        "naive": f"naive q{question}",
    }


def table(scores: dict[tuple[int, int], float], task="t") -> pl.DataFrame:
    rows = pl.DataFrame([draft(q, s, task) for q, s in scores], schema=DRAFTS)
    return rows.with_columns(pl.Series("score", list(scores.values()), dtype=pl.Float64))


#: Means by question: 0 -> 0.9, 1 -> 0.5, 2 -> 0.5, 3 -> 0.1
SCORED = table(
    {
        (0, 0): 1.0,
        (0, 1): 0.8,
        (1, 0): 0.9,
        (1, 1): 0.1,
        (2, 0): 0.5,
        (2, 1): 0.5,
        (3, 0): 0.0,
        (3, 1): 0.2,
    }
)


def test_a_question_scores_the_mean_of_its_rationales():
    assert average_questions(SCORED)["score"].to_list() == pytest.approx([0.9, 0.5, 0.5, 0.1])


def test_question_pairs_are_top_over_bottom_of_the_same_prompt():
    pairs = pair_questions(SCORED, SETTINGS, seed=0)
    assert pairs.select("chosen", "rejected", "prompt").rows() == [
        ("<Question_4>0", "<Question_4>3", "write questions of t")
    ]
    assert pairs.select("chosen_score", "rejected_score").row(0) == pytest.approx((0.9, 0.1))


def test_half_a_share_crosses_and_never_repeats():
    wide = AlignParams(share=0.5, question_pairs=10, rationale_pairs=0, min_pairs=1)
    pairs = pair_questions(SCORED, wide, seed=0)
    # top {0, 1}, bottom {2, 3}; 1 over 2 ties at 0.5
    assert {(c[-1], r[-1]) for c, r in pairs.select("chosen", "rejected").rows()} == {
        ("0", "2"),
        ("0", "3"),
        ("1", "3"),
    }
    assert pairs["pair_id"].n_unique() == pairs.height == 3
    assert pair_questions(SCORED, wide, seed=0).equals(pairs)


def test_tasks_are_not_mixed():
    both = pl.concat([SCORED, table({(7, 0): 0.0, (8, 0): 1.0}, task="u")])
    pairs = pair_questions(both, SETTINGS, seed=0)
    assert pairs["prompt"].to_list() == ["write questions of t", "write questions of u"]


def test_rationale_pairs_have_the_naive_prompt_widest_first():
    pairs = pair_rationales(SCORED, SETTINGS, seed=0)
    assert pairs.select("prompt", "chosen", "rejected").rows() == [
        ("naive q1", "r1-0", "r1-1"),  # 0.8 apart
        ("naive q0", "r0-0", "r0-1"),  # 0.2
        ("naive q3", "r3-1", "r3-0"),  # 0.2; question 2 ties
    ]
    capped = AlignParams(share=0.25, question_pairs=0, rationale_pairs=1, min_pairs=1)
    assert pair_rationales(SCORED, capped, seed=0)["prompt"].to_list() == ["naive q1"]


def test_among_equal_rationales_no_reasoning_prompt_gains_by_its_place():
    scores = {(q, s): score for q in range(60) for s, score in enumerate((0.5, 0.25, 0.9, 0.25))}
    scores |= {(q, s): (0.0, 1.0)[s % 2] for q in range(60, 120) for s in range(4)}
    wide = AlignParams(share=0.25, question_pairs=0, rationale_pairs=200, min_pairs=1)
    pairs = pair_rationales(table(scores), wide, seed=0)
    drawn = {(c[-1], r[-1]) for c, r in pairs.select("chosen", "rejected").rows()}
    assert drawn == {("2", "1"), ("2", "3"), *((c, r) for c in "13" for r in "02")}
    assert pair_rationales(table(scores), wide, seed=0).equals(pairs)


def test_means_that_differ_in_their_last_bits_are_no_preference():
    twelfths = ((0, 0, 0, 3), (0, 1, 2, 0))  # both have the mean 3/48
    scores = {(q, s): k / 12 for q, row in enumerate(twelfths) for s, k in enumerate(row)}
    means = table(scores).group_by("question_id").agg(pl.col("score").mean())
    assert means["score"].n_unique() == 2  # as floats they are two
    wide = AlignParams(share=0.5, question_pairs=9, rationale_pairs=0, min_pairs=1)
    assert pair_questions(table(scores), wide, seed=0).is_empty()


@pytest.fixture
def folders(tmp_path):
    def write(scored):
        drafts, scores = tmp_path / "drafts", tmp_path / "scores"
        write_table(scored.select(list(DRAFTS)), drafts / "rows.parquet", DRAFTS)
        frame = scored.select(
            "row_id",
            "prompt_id",
            pl.lit("all").alias("reference"),
            "score",
            pl.lit(None, dtype=pl.Float64).alias("neutral"),
        )
        write_table(frame, scores / "scores.parquet", SCORES)
        return drafts, scores, tmp_path / "pairs"

    return write


def test_pairs_are_written_mixed_and_counted(folders):
    drafts, scores, out = folders(SCORED)
    metrics = write_arte_pairs(drafts, scores, out, SETTINGS, 0)
    pairs = read_table(out / "pairs.parquet", PAIRS)
    assert pairs.height == metrics["pairs"] == 4
    assert (metrics["question_pairs"], metrics["rationale_pairs"]) == (1, 3)
    assert metrics["questions_tied"] == 1
    assert metrics["chosen_styles"] == {"0": 2, "1": 1}


def test_who_wrote_the_drafts_is_told_with_the_pairs(folders):
    drafts, scores, out = folders(SCORED)
    hashes = {"template_hash": "a" * 64, "tokenizer_hash": "b" * 64}
    write_json(drafts / "manifest.json", {"facts": {"rows": 8, **hashes}})
    write_arte_pairs(drafts, scores, out, SETTINGS, 0)
    assert writer_hashes(out) == hashes


def test_drafts_that_all_score_the_same_are_an_error_and_leave_nothing(folders):
    drafts, scores, out = folders(SCORED.with_columns(pl.lit(0.5).alias("score")))
    with pytest.raises(MontessoriError, match=r"0 preference pairs.*same: t"):
        write_arte_pairs(drafts, scores, out, SETTINGS, 0)
    assert not out.exists()


def test_scores_of_other_drafts_are_refused(tmp_path):
    drafts = SCORED.select(list(DRAFTS))
    scores = pl.DataFrame(schema=SCORES)
    with pytest.raises(MontessoriError, match="8 of 8 drafts have no score"):
        join_scores(drafts, scores, tmp_path)
