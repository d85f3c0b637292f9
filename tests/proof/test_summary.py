"""Means, paired differences and intervals over seeds, by hand; the words that follow from them.

What would break: the front page's table or its sentences say more, less or something else than the
records.
"""

from pathlib import Path

import pytest

from montessori.compare.sentences import format_signed
from montessori.errors import MontessoriError
from montessori.graph.load import read_yaml
from montessori.graph.profiles import read_profile
from montessori.proof.pages import fill_page
from montessori.proof.papers import papers_block, read_published
from montessori.proof.record import COSTS
from montessori.proof.summary import STEPS, shared_metrics, summarise_records
from montessori.proof.table import (
    FACTS,
    details_block,
    facts_table,
    finding_sentences,
    proof_figure,
    summary_block,
)

ROOT = Path(__file__).parents[2]
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
    runs = summarise_records(RECORDS)["students"]["student"]["runs"]
    for metric in METRICS:
        entry = runs["montessori-1"][metric]
        assert entry["value"] == pytest.approx(53.0)
        assert entry["delta"] == pytest.approx(4.0)  # 2, 6, 4: sd 2, t(2) = 4.302653
        assert entry["low"] == pytest.approx(4.0 - 4.302653 * 2 / 3**0.5, abs=1e-5)
        assert entry["high"] == pytest.approx(4.0 + 4.302653 * 2 / 3**0.5, abs=1e-5)


def test_p_values_are_of_the_paired_t_test_and_corrected_for_the_students_tables() -> None:
    """Deltas 2, 6, 4: t = 4 / (2 / sqrt 3) = 3.464, p = 0.0742 with two degrees of freedom. The
    mean of montessori-1 was asked about and is alone; its four benchmarks and five metrics of cut,
    which equals it, are nine others."""
    student = summarise_records(RECORDS)["students"]["student"]
    assert student["comparisons"] == {"asked": 1, "others": 9}
    for metric in METRICS:
        entry = student["runs"]["montessori-1"][metric]
        assert entry["p"] == pytest.approx(0.0742, abs=1e-4)
        assert entry["p_holm"] == pytest.approx((1 if metric == "mean" else 9) * entry["p"])
        assert student["runs"]["cut"][metric]["p_holm"] == 1.0
        itself = student["runs"]["self-instruct"][metric]
        assert (itself["p"], itself["p_holm"]) == (None, None)


def test_what_was_asked_beforehand_does_not_depend_on_the_other_rows() -> None:
    """Deltas of round 1: 2, 6, 4, so p = 0.0742 as above. Of round 2: 4, 5, 6, so
    t = 5 / (1 / sqrt 3) = 8.660, and with two degrees of freedom
    p = 1 - t / sqrt(t^2 + 2) = 1 - 8.660 / 8.775 = 0.0131.
    Holm for two: 2 x 0.0131 = 0.0262, then 1 x 0.0742."""

    def proof_with(extra_rows: int) -> dict:
        records = []
        for seed, (one, two) in enumerate([(50.0, 52.0), (54.0, 53.0), (52.0, 54.0)]):
            made = record(seed, one, 48.0)
            score = {**dict.fromkeys(METRICS, two), "micro_mt_bench": 1 + two * 0.09}
            for name in ("montessori-2", *(f"row-{i}" for i in range(extra_rows))):
                made["runs"][name] = {**made["runs"]["montessori-1"]}
                made["metrics"]["eval"][name] = dict(score)
            made["order"] = list(made["runs"])
            records.append(made)
        return summarise_records(records)

    for rows in (0, 5):
        proof = proof_with(rows)
        student = proof["students"]["student"]
        # ten of two rounds, five of cut and of each row, less the two asked, and a step of rounds
        assert student["comparisons"] == {"asked": 2, "others": 14 + 5 * rows}
        entries = [student["runs"][f"montessori-{n}"]["mean"] for n in (1, 2)]
        assert [entry["p"] for entry in entries] == pytest.approx([0.0742, 0.0131], abs=1e-4)
        assert [entry["p_holm"] for entry in entries] == pytest.approx([0.0742, 0.0262], abs=1e-4)
        assert (
            "`montessori-1` and `montessori-2` against `self-instruct` on the mean, is a family of "
            f"its own; the other {14 + 5 * rows} comparisons of a student are another."
        ) in summary_block(proof, "p.svg")
    others = [student["runs"]["montessori-2"][name]["p_holm"] for name in METRICS[:-1]]
    assert others == [pytest.approx(39 * 0.01307, abs=1e-2)] * 4  # all 39 others, the least first


def test_rounds_against_another_run_are_not_what_was_asked() -> None:
    records = [record(seed, 50.0 + seed, 48.0) for seed in range(3)]
    for one in records:
        one["runs"]["montessori-1"]["against"] = "cut"
        one["metrics"]["eval"]["cut"] = one["metrics"]["eval"]["self-instruct"]
    proof = summarise_records(records)
    assert proof["students"]["student"]["comparisons"] == {"asked": 0, "others": 10}
    assert "The correction is for all 10 comparisons of a student." in summary_block(proof, "x")


def test_public_benchmarks_that_all_runs_have_are_metrics_too() -> None:
    records = [record(seed, 50.0 + seed, 48.0) for seed in range(3)]
    for one in records:
        for metrics in one["metrics"]["eval"].values():
            metrics["mt_bench"] = 5.5 + one["seed"] * 0.9
        one["metrics"]["eval"]["cut"]["alpaca_eval"] = 50.0  # the others lack it
    sources = dict.fromkeys(records[0]["order"], records)
    assert shared_metrics(sources) == [*METRICS[:-1], "mt_bench", "mean"]
    student = summarise_records(records)["students"]["student"]
    assert student["runs"]["cut"]["mt_bench"]["value"] == pytest.approx(60.0)  # 50, 60, 70
    assert student["comparisons"] == {"asked": 1, "others": 11}
    assert "| micro_gsm8k | mt_bench |" in summary_block(summarise_records(records), "p.svg")


def test_a_run_is_compared_with_its_own_against() -> None:
    assert summarise_records(RECORDS)["students"]["student"]["runs"]["cut"]["mean"]["delta"] == 0.0


def test_the_block_names_what_a_run_is_compared_with_where_it_is_not_the_common_one() -> None:
    block = summary_block(summarise_records(RECORDS), "p.svg")
    assert "to the run of comparison (`self-instruct` unless the row names another)" in block
    assert "| `cut` (against `montessori-1`) | " in block
    assert "| `montessori-1` | " in block
    assert "| `self-instruct` | " in block
    assert "![difference over seeds to the run that each is compared with, mostly self-instru" in (
        block
    )
    records = [record(seed, 50.0, 48.0) for seed in range(2)]
    for one in records:  # compared with itself: it has no place in the picture
        one["runs"]["cut"]["against"] = "cut"
    block = summary_block(summarise_records(records), "p.svg")
    assert "| `cut` | 50.0 |" in block
    assert "![difference to self-instruct over seeds](p.svg)" in block
    assert ">cut<" not in proof_figure(summarise_records(records))


def test_order_of_seeds_does_not_matter() -> None:
    assert summarise_records(RECORDS[::-1]) == summarise_records(RECORDS)


def test_one_seed_has_no_interval() -> None:
    student = summarise_records(RECORDS[:1])["students"]["student"]
    assert student["runs"]["montessori-1"]["mean"]["low"] is None
    assert student["runs"]["montessori-1"]["mean"]["p_holm"] is None
    assert student["comparisons"] == {"asked": 0, "others": 0}
    assert "no interval: one seed" in finding_sentences(student)[0]
    assert "50.0 (+2.0)" in summary_block(summarise_records(RECORDS[:1]), "p.svg")


def test_data_facts_are_means() -> None:
    data = summarise_records(RECORDS)["students"]["student"]["data"]
    assert data["montessori-1"]["synth"] == pytest.approx({"rows": 100, "valid": 0.6})
    assert data["montessori-1"]["skills"] == {"stories": 11}
    assert data["montessori-1"]["influence"] == {"by": {"stories": 1.0}}
    assert data["cut"]["synth"] == {"rows": 40}


def test_words_say_what_is_significant() -> None:
    sure = [record(seed, 52.0 + seed / 10, 48.0) for seed in range(5)]
    words = finding_sentences(summarise_records(sure)["students"]["student"])[0]
    assert words.endswith(": significant.")
    assert "corrected < 0.0001" in words
    unsure = finding_sentences(summarise_records(RECORDS)["students"]["student"])[0]
    assert unsure == (
        "`montessori-1` against `self-instruct`: +4.0 (\u22121.0 to +9.0), p 0.074, "
        "corrected 0.074: not significant."
    )
    assert "**52.2 (+4.2; +4.0 to +4.4)\\***" in summary_block(summarise_records(sure), "p.svg")
    alone = [record(0, 50.0, 48.0), record(1, 52.0, 48.0), record(2, 51.0, 48.0)]
    for one in alone:  # another comparison than the one asked beforehand
        one["runs"]["montessori-1"]["against"] = "cut"
        one["metrics"]["eval"]["cut"] = one["metrics"]["eval"]["self-instruct"]
    words = finding_sentences(summarise_records(alone)["students"]["student"])[0]
    assert words.endswith("p 0.035, corrected 0.35: significant only by itself.")
    block = summary_block(
        summarise_records(alone), "p.svg"
    )  # 2, 4, 3: p = 0.035 alone, 0.35 corrected
    assert "**51.0 (+3.0; +0.5 to +5.5)**" in block
    assert "5 seeds (0-4)" in summary_block(summarise_records(sure), "p.svg")
    assert "(p.svg)" in summary_block(summarise_records(sure), "p.svg")


def test_details_hold_each_seed_and_family() -> None:
    text = details_block(summarise_records(RECORDS))
    assert "| `montessori-1` | 50.0 | 54.0 | 55.0 |" in text
    assert "| stories | 0 | 11 |" in text


def test_records_with_different_runs_are_an_error() -> None:
    other = record(1, 1.0, 1.0)
    other["runs"] = {**other["runs"], "new": other["runs"]["cut"]}
    with pytest.raises(MontessoriError, match="different rows"):
        summarise_records([RECORDS[0], other])


def test_no_records_are_an_error() -> None:
    with pytest.raises(MontessoriError, match="no experiment"):
        summarise_records([])


def test_steps_are_on_the_mean_alone_and_counted() -> None:
    records = [record(seed, 50.0 + seed, 48.0) for seed in range(3)]
    for one in records:
        one["runs"]["placebo"] = {"against": "self-instruct", "dataset": "p", "round": "p"}
        one["order"].append("placebo")
        one["metrics"]["eval"]["placebo"] = one["metrics"]["eval"]["self-instruct"]
    student = summarise_records(records)["students"]["student"]
    assert list(student["steps"]["montessori-1 - placebo"]) == ["mean"]
    assert student["comparisons"] == {"asked": 1, "others": 3 * 5}
    assert "`montessori-1` against `placebo`: +3.0" in finding_sentences(student)[-1]


def test_a_run_without_training_has_no_sentence() -> None:
    records = [record(seed, 50.0 + seed, 48.0) for seed in range(3)]
    for one in records:
        one["runs"]["cut"] = {"against": "self-instruct", "dataset": None, "round": None}
    assert [
        text.split(" ")[0]
        for text in finding_sentences(summarise_records(records)["students"]["student"])
    ] == ["`montessori-1`"]


def test_costs_and_rows_come_from_the_budgets() -> None:
    records = [record(seed, 50.0, 48.0) for seed in range(2)]
    for one in records:
        one["budgets"] = {
            "self-instruct": {"rows": 100, "teacher_tokens": 1000 + one["seed"], "judge_calls": 0},
            "montessori-1": {"rows": 90, "teacher_tokens": 3000, "student_flops": 2.5e12},
        }
    data = summarise_records(records)["students"]["student"]["data"]
    assert data["self-instruct"]["budgets"]["teacher_tokens"] == 1000.5
    assert data["self-instruct"]["synth"]["rows"] == 100  # no stage wrote metrics of synth
    assert data["montessori-1"]["synth"]["rows"] == 100  # the stage's own
    text = facts_table(data)
    assert "baseline rows at its student FLOPs" not in text  # nobody has it
    assert "student TFLOPs" in text
    assert "teacher TFLOPs" not in text  # nobody has it
    assert "| `montessori-1` | 100 | 55.0 | 3,000 | 2.5 |" in text


def test_rows_of_the_baseline_and_tokens_of_judges_are_columns() -> None:
    budgets = {
        "judge_tokens": 1200,
        "baseline_rows_at_equal_teacher_tokens": 80,
        "baseline_rows_at_equal_student_flops": 4288,
    }
    lines = facts_table({"self-reward": {"budgets": budgets}}).splitlines()
    assert lines[0] == (
        "| run | judge tokens | baseline rows at its teacher tokens | baseline rows at its student "
        "FLOPs |"
    )
    assert lines[2] == "| `self-reward` | 1,200 | 80 | 4,288 |"


def test_costs_that_are_shown_are_recorded() -> None:
    shown = {key for _, paths, _, _ in FACTS for key in paths if key.startswith("budgets.")}
    assert {key.removeprefix("budgets.") for key in shown} <= set(COSTS)


def test_a_cost_that_one_record_lacks_is_not_known() -> None:
    records = [record(seed, 50.0, 48.0) for seed in range(2)]
    for one, more in zip(records, ({}, {"judge_tokens": 500}), strict=True):
        one["budgets"] = {"montessori-1": {"teacher_tokens": 100, **more}}
    data = summarise_records(records)["students"]["student"]["data"]
    assert data["montessori-1"]["budgets"] == {"teacher_tokens": 100}


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "+0.0"), (-0.06, "\u22120.1"), (1.25, "+1.2"), (None, "+0.0")]
)
def test_numbers_have_a_sign_and_a_true_minus(value: float | None, text: str) -> None:
    assert format_signed(value) == text


PAGE = "a\n<!-- proof:begin x details -->\nold\n<!-- proof:end -->\nb\n"


def test_places_of_that_name_are_filled_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE + PAGE.replace("x details", "y details"))
    assert fill_page(page, {"x details": lambda path: f"in {path.name}\n"})
    assert page.read_text() == PAGE.replace("old", "in page.md") + PAGE.replace("x d", "y d")
    before = page.stat().st_mtime_ns
    assert fill_page(page, {"x details": lambda path: "in page.md"})
    assert not fill_page(page, {"z details": lambda path: "never"})
    assert page.stat().st_mtime_ns == before


def test_a_page_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert not fill_page(tmp_path / "README.md", {})
    assert not (tmp_path / "README.md").exists()


def test_published_results_stand_beside_ours() -> None:
    text = papers_block([summarise_records(RECORDS)])
    # 54.92 - 50; 53.25 - 50; (6.903 - 6.490) x 100 / 9; (2.485 - 2.154) x 100 / 9; ...
    assert (
        "| Montessori-Instruct, round 1 | `montessori-1` | +4.0 (\u22121.0 to +9.0) "
        "| +4.0 (\u22121.0 to +9.0) | +4.9 | +3.2 | +4.0 (\u22121.0 to +9.0) | +4.6 | +3.7 "
        "| +4.0 (\u22121.0 to +9.0) | +0.5 | +4.0 (\u22121.0 to +9.0) | +0.0 |"
    ) in text
    assert "| signal: training loss | `loss` |  |  | +2.3 |" in text  # not measured by us
    assert "| ARTE | `arte-1` |  |  | +4.4 |" in text


def test_published_rows_name_runs_of_the_profiles() -> None:
    rows = {
        run
        for name in ("baselines", "signals", "budgets", "ablations")
        for run in read_profile(ROOT / "profiles", name)["runs"]
    } | set(read_yaml(ROOT / "params.yaml")["runs"])
    named = {row["run"] for paper in read_published().values() for row in paper["rows"]}
    assert named <= rows
    assert {run for step in STEPS for run in step} <= rows


def test_exams_that_all_runs_took_have_a_column_sentences_and_a_place_beside_the_paper() -> None:
    records = []
    for seed, (aligned, original) in enumerate([(60.0, 50.0), (62.0, 54.0)]):
        taken = record(seed, 50.0, 48.0)
        names = {"montessori-1": "arte-1", "cut": "arte-0"}
        for part in (taken["runs"], taken["metrics"]["eval"]):
            for old, new in names.items():
                part[new] = part.pop(old)
        taken["runs"]["arte-0"]["against"] = "self-instruct"
        taken["order"] = list(taken["runs"])
        exam = {"self-instruct": 40.0, "arte-1": aligned, "arte-0": original}
        for run, value in exam.items():
            taken["metrics"]["eval"][run]["exam lab"] = value
        records.append(taken)
    proof = summarise_records(records)
    student = proof["students"]["student"]
    assert student["runs"]["arte-1"]["exam lab"]["delta"] == pytest.approx(21.0)
    assert student["steps"]["arte-1 - arte-0"]["exam lab"]["delta"] == pytest.approx(9.0)
    assert any(
        text.startswith("`arte-1` against `arte-0`, exam lab: +9.0")
        for text in finding_sentences(student)
    )
    assert "| micro_gsm8k | exam lab |" in summary_block(proof, "x.svg")
    picture = proof_figure(proof)
    assert picture.count(">arte-1<") == picture.count(">arte-1, exam lab<") == 1
    ours = "+0.0 (+0.0 to +0.0) | +9.0 (\u22123.7 to +21.7)"  # 10 and 8: t(1) = 12.706
    assert f"| ARTE | `arte-1` | {ours} | +4.4 |" in papers_block([proof])
    del records[0]["metrics"]["eval"]["arte-0"]["exam lab"]  # one run of one seed lacks it
    assert "exam lab" not in summarise_records(records)["students"]["student"]["runs"]["arte-1"]


def test_held_out_losses_are_in_nats_in_the_table_and_not_in_the_picture() -> None:
    records = []
    for seed, gain in enumerate((0.02, 0.05, 0.03)):
        measured = record(seed, 50.0, 48.0)
        for run, value in measured["metrics"]["eval"].items():
            value["heldout"] = 1.25 - (gain if run == "montessori-1" else 0.0)
        records.append(measured)
    proof = summarise_records(records)
    entry = proof["students"]["student"]["runs"]["montessori-1"]["heldout"]
    assert entry["delta"] == pytest.approx(-0.1 / 3)
    block = summary_block(proof, "x.svg")
    assert "| heldout (nats, less is better) |" in block
    assert "on 0-100, held-out losses in nats per token. In brackets" in block
    assert (
        "`montessori-1` against `self-instruct`, heldout (nats, less is better): \u22120.033"
        in block
    )
    assert "| 1.217 (\u22120.033; " in block
    assert "heldout" not in proof_figure(proof)
    assert "held-out" not in summary_block(summarise_records(RECORDS), "x.svg")
