"""Sentences of the comparison, by hand and from corrected p-values alone.

What would break: the report claims that a run beats another although the corrected p-value does not
say so, or stays silent where it does.
"""

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.compare.sentences import (
    format_p,
    metric_title,
    run_label,
    verdict_on,
    write_legend,
    write_notes,
    write_sentence,
    write_sentences,
)

NAMES = ("micro_alpaca_eval", "micro_mt_bench", "micro_mmlu", "micro_gsm8k", MEAN)


def entry(delta: float, p_holm: float) -> dict[str, float]:
    """The interval excludes zero whenever |delta| > 1, whatever the p-value says."""
    return {
        "value": 50.0 + delta,
        "delta": delta,
        "low": delta - 1,
        "high": delta + 1,
        "p": p_holm / 5,
        "p_holm": p_holm,
    }


def row(*entries: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {name: entry(*numbers) for name, numbers in zip(NAMES, entries, strict=True)}


def comparison(missing: str = "", resamples: int = 2000) -> dict:
    base = {name: {"value": 50.0, "delta": 0.0, "low": 0.0, "high": 0.0} for name in NAMES}
    return {
        "baseline": "base",
        "confidence": 0.95,
        "resamples": resamples,
        "comparisons": 15,
        "benchmarks": {
            "micro_mmlu": {
                "items": 9,
                "left_out": 0,
                "metric": "mean",
                "in_mean": True,
                "missing_in": missing,
            }
        },
        "runs": {"base": base, "run": row(*[(2.0, 0.01)] * 5)},
    }


def test_sentences_go_by_the_corrected_p_value() -> None:
    mixed = row((3, 0.01), (2, 0.05), (4, 0.0501), (-4, 0.02), (1.5, 0.04))
    assert write_sentence("m-2", mixed, "self-instruct", 0.95) == (
        "m-2 beats self-instruct on 2 of 4 (micro_alpaca_eval, micro_mt_bench); loses to "
        "self-instruct on 1 of 4 (micro_gsm8k); micro_mmlu undecided. Mean +1.5 (+0.5 to +2.5), "
        "corrected p 0.04: better."
    )
    unclear = row(*[(3.0, 0.2)] * 5)
    assert write_sentence("m-2", unclear, "x", 0.95) == (
        "m-2 has no significant difference from x on any benchmark. Mean +3.0 (+2.0 to +4.0), "
        "corrected p 0.20: undecided."
    )
    assert verdict_on(entry(-2, 0.05), 0.95) == "worse"
    assert verdict_on(entry(-2, 0.05), 0.99) == "undecided"


def test_a_missing_benchmark_is_not_counted() -> None:
    short = row(*[(3.0, 0.01)] * 5)
    del short["micro_mmlu"]
    assert "beats x on 3 of 3" in write_sentence("m", short, "x", 0.95)


def test_many_benchmarks_are_not_all_named() -> None:
    many = {f"task {n:02d}": entry(2.0, 0.01) for n in range(30)} | {MEAN: entry(2.0, 0.01)}
    text = write_sentence("m", many, "x", 0.95)
    assert "beats x on 30 of 30 (task 00, task 01, " in text
    assert "task 05 and 24 more)" in text
    assert "task 06" not in text


def test_the_baseline_has_no_sentence() -> None:
    assert [text.split()[0] for text in write_sentences(comparison())] == ["run"]


def transfer() -> dict:
    """A run that is judged against another run than the baseline, and that run."""
    found = comparison()
    found["against"] = {"base": "base", "run": "base", "base-2": "base-2", "run-2": "base-2"}
    found["runs"] |= {"base-2": found["runs"]["base"], "run-2": row(*[(2.0, 0.01)] * 5)}
    return found


def test_a_run_that_is_compared_with_another_run_than_the_baseline_says_so() -> None:
    found = transfer()
    assert [run_label(found, run) for run in found["runs"]] == [
        "base",
        "run",
        "base-2",
        "run-2 (against base-2)",
    ]
    assert [text.split(" on ")[0] for text in write_sentences(found)] == [
        "run beats base",
        "run-2 beats base-2",
    ]
    assert "difference from base, or from the run that a row names, with its" in write_legend(found)
    assert "difference from base with its" in write_legend(comparison())
    assert write_notes(found) == [
        "base-2 is compared with no run: it is judged against itself, not against what base is "
        "judged against."
    ]


def test_a_benchmark_that_the_run_to_compare_with_lacks_is_said() -> None:
    found = transfer()
    for missing, text in {
        "run": "micro_mmlu: no outcomes of run; only the others are compared.",
        "base-2": "micro_mmlu: no outcomes of base-2, with which run-2 would be compared; only the "
        "others are compared.",
        "base": "micro_mmlu: no outcomes of base, with which run would be compared; only the "
        "others are compared.",
        "base, base-2": "micro_mmlu is not compared: base, the baseline, has no outcomes of it.",
    }.items():
        found["benchmarks"]["micro_mmlu"]["missing_in"] = missing
        assert write_notes(found)[1] == text


def test_legend_and_notes() -> None:
    assert "mean is over 1 benchmark" in write_legend(comparison())
    assert "all 15 comparisons of the table, is at most 0.05" in write_legend(comparison())
    assert write_notes(comparison()) == []
    assert write_notes(comparison(missing="a, b")) == [
        "micro_mmlu: no outcomes of a, b; only the others are compared."
    ]
    assert write_notes(comparison(missing="a, base")) == [
        "micro_mmlu is not compared: base, the baseline, has no outcomes of it."
    ]


def test_items_without_a_verdict_are_said() -> None:
    found = comparison()
    found["benchmarks"]["micro_mmlu"]["left_out"] = 3
    assert write_notes(found) == [
        "micro_mmlu: 3 of 12 items are dropped, because some run has no usable verdict on them."
    ]


def test_too_few_resamples_for_so_many_comparisons_are_said() -> None:
    """The smallest p-value is 1 / (resamples + 1); times 15 it must reach 0.05."""
    assert 15 / (299 + 1) == 0.05
    assert write_notes(comparison(resamples=299)) == []
    (text,) = write_notes(comparison(resamples=298))
    assert "15 comparisons need at least 299 resamples" in text


def test_p_values_and_titles_in_words() -> None:
    texts = {1e-5: "< 0.0001", 0.0075: "0.0075", 0.024: "0.024", 0.0999: "0.1", 0.5: "0.50"}
    assert {p: format_p(p) for p in texts} == texts
    assert format_p(1.0) == "1.00"
    assert metric_title("alpaca_eval") == "alpaca_eval (LC)"
    assert metric_title("mt_bench") == "mt_bench"


def test_order_of_metrics() -> None:
    assert order_metrics([MEAN, "bbh x", "mt_bench", "arc acc", "micro_mmlu", "bbh x"]) == [
        "micro_mmlu",
        "mt_bench",
        "arc acc",
        "bbh x",
        MEAN,
    ]
