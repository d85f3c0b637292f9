"""Means, paired differences and intervals, by hand; the words that follow from them."""

from pathlib import Path

import pytest

from montessori.errors import MontessoriError
from montessori.proof.summary import measured, summarise
from montessori.proof.table import details_block, findings, readme_block, replace_block

METRICS = ("micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k", "mean")


def record(seed: int, ours: float, theirs: float, student: str = "student") -> dict:
    runs = {
        "self-instruct": {"against": "self-instruct", "dataset": "self-instruct", "round": None},
        "montessori-1": {"against": "self-instruct", "dataset": "m1", "round": "montessori-1"},
        "cut": {"against": "montessori-1", "dataset": "m1-cut", "round": "montessori-1"},
    }
    score = lambda v: dict.fromkeys(METRICS, v) | {"micro_mt_bench": 1 + v * 0.09}  # noqa: E731
    return {
        "student": student,
        "seed": seed,
        "order": list(runs),
        "runs": runs,
        "skills": {"m1": {"stories": 10 + seed}, "self-instruct": {"units": 4}},
        "metrics": {
            "eval": {
                "self-instruct": score(theirs),
                "montessori-1": score(ours),
                "cut": score(ours),
            },
            "synth": {"m1": {"rows": 100, "valid": 0.5 + seed / 10}},
            "trim": {"m1-cut": {"rows": 40}},
            "influence": {"montessori-1": {"by": {"stories": 1.0}}},
        },
    }


RECORDS = [record(0, 50.0, 48.0), record(1, 54.0, 48.0), record(2, 55.0, 51.0)]


def test_delta_is_paired_and_the_interval_is_students_t() -> None:
    runs = summarise(RECORDS)["students"]["student"]["runs"]
    for metric in METRICS:
        entry = runs["montessori-1"][metric]
        assert entry["value"] == pytest.approx(53.0)
        assert entry["delta"] == pytest.approx(4.0)  # 2, 6, 4: sd 2, t(2) = 4.302653
        assert entry["low"] == pytest.approx(4.0 - 4.302653 * 2 / 3**0.5, abs=1e-5)
        assert entry["high"] == pytest.approx(4.0 + 4.302653 * 2 / 3**0.5, abs=1e-5)


def test_p_values_are_of_the_paired_t_test_and_corrected_for_the_students_tables() -> None:
    """Deltas 2, 6, 4: t = 4 / (2 / sqrt 3) = 3.464, p = 0.0742 with two degrees of freedom. Five
    metrics of montessori-1 and five of cut, which equals it: ten comparisons."""
    student = summarise(RECORDS)["students"]["student"]
    assert student["comparisons"] == 10
    for metric in METRICS:
        entry = student["runs"]["montessori-1"][metric]
        assert entry["p"] == pytest.approx(0.0742, abs=1e-4)
        assert entry["p_holm"] == pytest.approx(10 * entry["p"])
        assert student["runs"]["cut"][metric]["p_holm"] == 1.0
        itself = student["runs"]["self-instruct"][metric]
        assert (itself["p"], itself["p_holm"]) == (None, None)


def test_public_benchmarks_that_all_runs_have_are_metrics_too() -> None:
    records = [record(seed, 50.0 + seed, 48.0) for seed in range(3)]
    for one in records:
        for metrics in one["metrics"]["eval"].values():
            metrics["mt_bench"] = 5.5 + one["seed"] * 0.9
        one["metrics"]["eval"]["cut"]["alpaca_eval"] = 50.0  # the others lack it
    assert measured(records) == [*METRICS[:-1], "mt_bench", "mean"]
    student = summarise(records)["students"]["student"]
    assert student["runs"]["cut"]["mt_bench"]["value"] == pytest.approx(60.0)  # 50, 60, 70
    assert student["comparisons"] == 12
    assert "| micro_gsm8k | mt_bench |" in readme_block(summarise(records))


def test_a_run_is_compared_with_its_own_against() -> None:
    assert summarise(RECORDS)["students"]["student"]["runs"]["cut"]["mean"]["delta"] == 0.0


def test_order_of_seeds_does_not_matter() -> None:
    assert summarise(RECORDS[::-1]) == summarise(RECORDS)


def test_one_seed_has_no_interval() -> None:
    student = summarise(RECORDS[:1])["students"]["student"]
    assert student["runs"]["montessori-1"]["mean"]["low"] is None
    assert student["runs"]["montessori-1"]["mean"]["p_holm"] is None
    assert student["comparisons"] == 0
    assert "one seed, no interval" in findings(student)[0]
    assert "50.0 (+2.0)" in readme_block(summarise(RECORDS[:1]))


def test_data_facts_are_means() -> None:
    data = summarise(RECORDS)["students"]["student"]["data"]
    assert data["montessori-1"]["synth"] == pytest.approx({"rows": 100, "valid": 0.6})
    assert data["montessori-1"]["skills"] == {"stories": 11}
    assert data["montessori-1"]["influence"] == {"by": {"stories": 1.0}}
    assert data["cut"]["synth"] == {"rows": 40}


def test_words_say_what_is_significant() -> None:
    sure = [record(seed, 52.0 + seed / 10, 48.0) for seed in range(5)]
    words = findings(summarise(sure)["students"]["student"])[0]
    assert words.endswith(": significant.")
    assert "corrected < 0.0001" in words
    unsure = findings(summarise(RECORDS)["students"]["student"])[0]
    assert unsure == (
        "montessori-1 against self-instruct: +4.0 (\u22121.0 to +9.0), p 0.074, corrected 0.74: "
        "not significant."
    )
    assert "**52.2 (+4.2; +4.0 to +4.4)\\***" in readme_block(summarise(sure))
    alone = [record(0, 50.0, 48.0), record(1, 52.0, 48.0), record(2, 51.0, 48.0)]
    words = findings(summarise(alone)["students"]["student"])[0]
    assert words.endswith("p 0.035, corrected 0.35: significant only by itself.")
    block = readme_block(summarise(alone))  # 2, 4, 3: p = 0.035 alone, 0.35 corrected
    assert "**51.0 (+3.0; +0.5 to +5.5)**" in block
    assert "5 seeds (0-4)" in readme_block(summarise(sure))
    assert "docs/img/proof.svg" in readme_block(summarise(sure))


def test_details_hold_each_seed_and_family() -> None:
    text = details_block(summarise(RECORDS), RECORDS)
    assert "| `montessori-1` | 50.0 | 54.0 | 55.0 |" in text
    assert "| stories | 0 | 11 |" in text


def test_records_with_different_runs_are_an_error() -> None:
    other = record(1, 1.0, 1.0)
    other["runs"] = {**other["runs"], "new": other["runs"]["cut"]}
    with pytest.raises(MontessoriError, match="different rows"):
        summarise([RECORDS[0], other])


def test_no_records_are_an_error() -> None:
    with pytest.raises(MontessoriError, match="no experiment"):
        summarise([])


def test_block_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("a\n<!-- proof:begin -->\nold\n<!-- proof:end -->\nb\n")
    replace_block(page, "new")
    replace_block(page, "newer\n")
    assert page.read_text() == "a\n<!-- proof:begin -->\nnewer\n<!-- proof:end -->\nb\n"


def test_page_without_markers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MontessoriError, match="no place"):
        replace_block(tmp_path / "README.md", "x")
