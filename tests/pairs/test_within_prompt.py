"""Preference pairs within a prompt, by hand.

What would break: DPO prefers texts that scored below neutral, pairs texts of two prompts, or drops
pairs by their place in a table.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from montessori.artifacts.files import new_folder, read_json, read_table, write_table
from montessori.artifacts.schemas import PAIRS, PROBE, SCORES
from montessori.errors import MontessoriError
from montessori.pairs.within_prompt import (
    PrefsParams,
    label_rows,
    make_pairs,
    measure_skills,
    write_pairs,
)
from tests.tiny_rows import probe_frame, write_probe

SETTINGS = PrefsParams(
    rule="cross", neutral="scores", skills={}, margin=0.0, max_per_prompt=0, min_pairs=1
)


def scores_of(probe: pl.DataFrame, values: dict[int, float], neutral: float | None) -> pl.DataFrame:
    """A scores table for the rows of `probe` at the places of `values`."""
    rows = [
        (probe["row_id"][i], probe["prompt_id"][i], "all", value, neutral)
        for i, value in values.items()
    ]
    other = [(rows[0][0], rows[0][1], "sums", 99.0, 0.0)]  # another reference plays no part
    return pl.DataFrame(rows + other, schema=dict(SCORES), orient="row")


def made(values: dict[int, float], table_neutral: float | None = 0.0, **changes: Any) -> set:
    """(chosen place, rejected place) of the pairs."""
    probe = probe_frame(3, 4)
    settings = replace(SETTINGS, **changes)
    scores = scores_of(probe, values, table_neutral)
    pairs = make_pairs(label_rows(scores, probe, settings.neutral), settings)
    place = {row_id: i for i, row_id in enumerate(probe["row_id"])}
    return {
        (place[a], place[b])
        for a, b in zip(pairs["chosen_row"], pairs["rejected_row"], strict=True)
    }


def test_cross_rule_pairs_every_text_above_with_every_text_below_in_its_prompt():
    values = {4: 2.0, 5: -1.0, 6: 1.0, 7: -2.0, 8: 3.0, 9: 1.0}  # the last prompt has one sign
    assert made(values) == {(4, 5), (4, 7), (6, 5), (6, 7)}


def test_best_worst_takes_one_pair_and_max_per_prompt_the_widest():
    values = {4: 2.0, 5: -1.0, 6: 1.0, 7: -2.0}
    assert made(values, rule="best-worst") == {(4, 7)}
    assert made(values, max_per_prompt=2) == {(4, 7), (4, 5)}  # of equal gaps the earlier rows


def test_ties_make_no_pair():
    assert made({4: 0.0, 5: -1.0, 6: 0.5}) == {(6, 5)}


def test_a_neutral_of_its_own_decides_the_side():
    assert made({4: 2.0, 5: 1.0, 6: 4.0}, table_neutral=1.5) == {(4, 5), (6, 5)}


def test_without_neutral_the_median_of_the_prompt_decides():
    assert made({4: 5.0, 5: 6.0, 6: 7.0, 8: 1.0, 9: 2.0}, table_neutral=None) == {(6, 4), (9, 8)}


def test_a_prompts_mean_parts_a_prompt_in_which_most_rows_tie():
    values = {4: 5.0, 5: 5.0, 6: 5.0, 7: 1.5, 8: 0.1, 9: 0.1, 10: 0.1}
    assert made(values, table_neutral=None) == set()  # the median is the best score
    assert made(values, table_neutral=None, neutral="prompt-mean") == {(4, 7), (5, 7), (6, 7)}
    probe = probe_frame(3, 4)
    tied = label_rows(scores_of(probe, {8: 0.1, 9: 0.1, 10: 0.1}, None), probe, "prompt-mean")
    assert tied["side"].to_list() == [0, 0, 0]  # though the mean of three 0.1 is not 0.1


def test_the_prompts_median_can_be_neutral_whatever_the_table_says():
    values = {4: 5.0, 5: 6.0, 6: 7.0}
    assert made(values, table_neutral=0.0) == set()
    assert made(values, table_neutral=0.0, neutral="prompt") == {(6, 4)}


def test_skills_weigh_the_references():
    probe = probe_frame(3, 4)
    ids, prompts = probe["row_id"], probe["prompt_id"]
    table = [
        (ids[i], prompts[i], name, score, neutral)
        for i, by_skill in ((4, (1.0, 0.0)), (5, (0.0, 3.0)))
        for name, score, neutral in (
            ("all", 0, 0),
            ("a", by_skill[0], 0.5),
            ("b", by_skill[1], 0.1),
        )
    ]
    scores = pl.DataFrame(table, schema=dict(SCORES), orient="row")
    one = label_rows(scores, probe, skills={"a": 1.0})
    assert one["side"].to_list() == [1, -1]
    both = label_rows(scores, probe, skills={"a": 1.0, "b": 3.0})
    assert both["score"].to_list() == [0.25, 2.25]
    assert both["neutral"].to_list() == pytest.approx([0.2, 0.2])
    with pytest.raises(MontessoriError, match="no skill 'c'"):
        label_rows(scores, probe, skills={"c": 1.0})


def test_margin_counts_in_standard_deviations_of_the_table():
    values = {4: 2.0, 5: -1.0, 8: 0.5, 9: -0.5}  # deviation 1.146
    assert made(values, margin=1.0) == {(4, 5)}
    assert made(values, margin=0.8) == {(4, 5), (8, 9)}


def test_a_difference_of_exactly_the_margin_makes_a_pair():
    """Scores 1 and -1 deviate by 1, so their difference is two deviations."""
    assert made({4: 1.0, 5: -1.0}, margin=2.0) == {(4, 5)}
    assert made({4: 1.0, 5: -1.0}, margin=2.001) == set()


def test_dropped_rows_and_equal_texts_make_no_pair():
    assert made({0: 1.0, 1: -1.0, 2: -2.0}) == {(0, 2)}  # row 1 of the probe is dropped
    probe = probe_frame(3, 4).with_columns(pl.lit("the same").alias("raw"))
    labelled = label_rows(scores_of(probe, {4: 1.0, 5: -1.0}, 0.0), probe)
    assert make_pairs(labelled, SETTINGS).height == 0


def written(folder: Path, values: dict[int, float]) -> tuple[Path, Path]:
    """Scores and probe folders."""
    probe = write_probe(folder / "probe", 3, 4)
    with new_folder(folder / "scores", {}) as temporary:
        frame = scores_of(probe_frame(3, 4), values, 0.0)
        write_table(frame, temporary / "scores.parquet", SCORES)
    return folder / "scores", probe


def test_written_pairs_hold_raw_texts_and_metrics_count(tmp_path):
    scores, probe = written(tmp_path, {4: 2.0, 5: -1.0, 6: 0.0, 8: 1.0})
    metrics = write_pairs(scores, probe, tmp_path / "prefs", SETTINGS)
    pair = read_table(tmp_path / "prefs" / "pairs.parquet", PAIRS).row(0, named=True)
    frame = probe_frame(3, 4)
    assert (pair["chosen"], pair["rejected"]) == (frame["raw"][4], frame["raw"][5])
    assert pair["prompt"] == frame["prompt"][4]
    assert metrics["pairs"] == 1
    assert metrics["ties"] == 1
    assert metrics["prompts_one_sided"] == 1
    assert metrics["mean_difference"] == 3.0
    assert metrics["chosen_skills"] == {"sums": 1.0}


def test_shares_of_skills_are_of_pairs(tmp_path):
    """Rows 4 and 6 are sums, 5 and 7 spellings: 4 > 5, 4 > 7 and 6 > 5, 6 > 7; 8 > 10 are sums."""
    values = {4: 2.0, 5: -1.0, 6: 1.0, 7: -2.0, 8: 1.0, 10: -1.0}
    scores, probe = written(tmp_path, values)
    metrics = write_pairs(scores, probe, tmp_path / "prefs", SETTINGS)
    assert metrics["pairs"] == 5
    assert metrics["chosen_skills"] == {"sums": 1.0}
    assert metrics["rejected_skills"] == {"strings": 0.8, "sums": 0.2}


def test_rows_without_skills_have_no_shares():
    """Rows of a user's own need no skill; a share of nothing would be a column of zeros."""
    probe = probe_frame(3, 4).with_columns(pl.lit(None, pl.String).alias("skill"))
    labelled = label_rows(scores_of(probe, {4: 1.0, 5: -1.0}, 0.0), probe)
    assert measure_skills(labelled, make_pairs(labelled, SETTINGS)) == {}


def test_scores_that_are_all_equal_are_an_error_of_their_own(tmp_path):
    scores, probe = written(tmp_path, {4: 1.0, 5: 1.0, 8: 1.0})
    with pytest.raises(MontessoriError, match="all 3 scores are equal"):
        write_pairs(scores, probe, tmp_path / "prefs", SETTINGS)
    assert not (tmp_path / "prefs").exists()


def test_pairs_remember_who_wrote_them(tmp_path):
    scores, _ = written(tmp_path, {4: 2.0, 5: -1.0})
    writer = {"template_hash": "a" * 64, "tokenizer_hash": "b" * 64}
    with new_folder(tmp_path / "probe", {}, {"rows": 12, **writer}) as folder:
        write_table(probe_frame(3, 4), folder / "rows.parquet", PROBE)
    write_pairs(scores, tmp_path / "probe", tmp_path / "prefs", SETTINGS)
    facts = read_json(tmp_path / "prefs" / "manifest.json")["facts"]
    assert facts == {"pairs": 1, **writer}


def test_too_few_pairs_are_an_error_that_counts(tmp_path):
    scores, probe = written(tmp_path, {4: 2.0, 5: 1.0})
    with pytest.raises(MontessoriError, match="1 have rows on one side") as error:
        write_pairs(scores, probe, tmp_path / "prefs", SETTINGS)
    assert "probe.prompts" in error.value.next
    assert not (tmp_path / "prefs").exists()


def test_scores_of_another_probe_are_an_error():
    scores = scores_of(probe_frame(3, 4), {4: 1.0}, 0.0)
    with pytest.raises(MontessoriError, match="not in the probe"):
        label_rows(scores.with_columns(pl.lit("f" * 16).alias("row_id")), probe_frame(3, 4))


def test_shares_of_skills_are_quotients_to_the_last_digit():
    """Metrics are compared by their hash, so a share is the division that it says it is."""
    skills = ["sums"] * 24 + ["units"] * 183
    labelled = pl.DataFrame({"row_id": [str(i) for i in range(207)], "skill": skills})
    pairs = pl.DataFrame({"chosen_row": labelled["row_id"], "rejected_row": labelled["row_id"]})
    shares = {"sums": 24 / 207, "units": 183 / 207}
    assert measure_skills(labelled, pairs) == {"chosen_skills": shares, "rejected_skills": shares}
