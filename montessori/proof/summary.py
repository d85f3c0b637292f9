"""What the records of a proof say together: means, paired differences and intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.errors import MontessoriError
from montessori.evals.items import ONE_TO_TEN, ORDER, is_exam
from montessori.evals.significance import correct_by_holm
from montessori.evals.statistics import compare_over_seeds
from montessori.proof.newest import Choose, own_figures, provenance

#: Differences between two methods that the papers speak of; taken on the mean and on exams alone.
STEPS = (
    ("montessori-2", "montessori-1"), ("montessori-1", "placebo"), ("montessori-1", "responses"),
    ("montessori-1", "bootstrap"), ("montessori-1", "self-reward"), ("montessori-1", "loss"),
    ("montessori-1", "uncertainty"), ("montessori-1", "icl"), ("arte-1", "arte-0"),
    ("consistent", "arte-0"), ("montessori-1", "self-instruct-3100"),
    ("montessori-1", "self-instruct-4300"),
    # Ablations, each against the round of which it changes one thing.
    ("group", "montessori-1"), ("all-pairs", "montessori-1"), ("best-worst", "montessori-1"),
    ("margin", "montessori-1"), ("seeds-in-domain", "montessori-1"),
    ("seeds-out-of-domain", "montessori-1"), ("old-probe", "montessori-2"),
    ("old-warmup", "montessori-2"), ("from-base", "montessori-2"),
)  # fmt: skip

#: The question asked beforehand: does a round gain on the mean? Its comparisons are a family of
#: their own for Holm's correction, so that no other row of a profile changes their p-values.
ASKED = (("montessori-1", "self-instruct"), ("montessori-2", "self-instruct"))

Record = Mapping[str, Any]
Sources = Mapping[str, Sequence[Record]]  # run -> the records that its figures are from, by seed
Tables = Mapping[str, Mapping[str, Mapping[str, dict[str, Any]]]]  # table -> row -> metric -> entry


def points(record: Record, run: str, metric: str) -> float:
    """A metric of a run on 0-100: MT-Bench as (score - 1) / 9 x 100, the others as they are."""
    value = float(record["metrics"]["eval"][run][metric])
    return (value - 1.0) / 9.0 * 100.0 if metric in ONE_TO_TEN else value


def measured(sources: Sources) -> list[str]:
    """The benchmarks and exams that every run has for every seed, in the order of tables, and the
    mean."""
    found = [record["metrics"]["eval"][run] for run, records in sources.items()
             for record in records]  # fmt: skip
    names = (*ORDER, *filter(is_exam, found[0]), MEAN)
    return order_metrics(name for name in names if all(name in metrics for metrics in found))


def main_metrics(names: Iterable[str]) -> list[str]:
    """The metrics that sentences and steps are on: the mean, and exams behind it."""
    return [MEAN, *filter(is_exam, names)]


def summarise(records: Sequence[Record], choose: Choose = own_figures) -> dict[str, Any]:
    """The content of metrics/proof/<profile>.json.

    A run's delta is against the run named by its `against`: self-instruct, and for the rows at
    equal response tokens self-instruct cut in the same way. Seeds pair the two. p-values are those
    of a paired t test over seeds, by Holm's correction in two families for each student: the
    comparisons of ASKED, and all others.

    records: those of one profile. choose: gives the record that a run's figures are taken from.

    Raises:
        MontessoriError: no record, or records of one student with different runs.
    """
    if not records:
        raise MontessoriError("no experiment is complete", next="make proof SEEDS=0-4")
    by_student: dict[str, list[Record]] = {}
    for record in records:
        by_student.setdefault(record["student"], []).append(record)
    students = {name: _student(name, group, choose) for name, group in by_student.items()}
    return {"over": "seeds", "students": students}


def _student(name: str, records: list[Record], choose: Choose) -> dict[str, Any]:
    records.sort(key=lambda record: record["seed"])
    runs = {run: records[0]["runs"][run] for run in records[0]["order"]}
    if any(record["runs"] != runs for record in records):
        raise MontessoriError(
            f"the seeds of {name} were run with different rows in params.yaml",
            where="metrics/proof",
            next="make proof with all seeds again",
        )
    sources = {run: [choose(record, run) for record in records] for run in runs}
    pairs = [pair for pair in STEPS if set(pair) <= set(runs)]
    names = measured(sources)
    tables = {
        "runs": {run: _paired(sources, run, row["against"], names) for run, row in runs.items()},
        "steps": {
            f"{run} - {other}": _paired(sources, run, other, main_metrics(names))
            for run, other in pairs
        },
    }
    against = {run: row["against"] for run, row in runs.items()}
    return {
        "seeds": [record["seed"] for record in records],
        "comparisons": _correct(tables, against),
        "against": against,
        "trained": [run for run, row in runs.items() if row["dataset"] is not None],
        **tables,
        "means": {run: [points(record, run, MEAN) for record in of_run]
                  for run, of_run in sources.items()},
        "recorded": {run: provenance(of_run) for run, of_run in sources.items()},
        "data": {run: data_facts(of_run, run, runs[run]) for run, of_run in sources.items()},
    }  # fmt: skip


def _correct(tables: Tables, against: Mapping[str, str]) -> dict[str, int]:
    """Put `p_holm` beside each `p`: Holm's correction within each family of a student.

    Runs that are compared with themselves are no comparisons: both are None there, as for fewer
    than two seeds. Returns how many comparisons each family has.
    """
    families: dict[str, dict[tuple[str, str, str], float]] = {"asked": {}, "others": {}}
    for name, table in tables.items():
        for row, metrics in table.items():
            for metric, entry in metrics.items():
                if name == "runs" and against[row] == row:
                    entry["p"] = None
                entry["p_holm"] = None
                if entry["p"] is not None:
                    asked = name == "runs" and metric == MEAN and (row, against[row]) in ASKED
                    families["asked" if asked else "others"][name, row, metric] = entry["p"]
    for p_values in families.values():
        for (name, row, metric), value in correct_by_holm(p_values).items():
            tables[name][row][metric]["p_holm"] = value
    return {family: len(p_values) for family, p_values in families.items()}


def _paired(
    sources: Sources, run: str, other: str, metrics: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Metrics of a run, and the difference to another."""
    return {
        metric: compare_over_seeds(
            [points(record, run, metric) for record in sources[run]],
            [points(record, other, metric) for record in sources[other]],
        )
        for metric in metrics
    }


def data_facts(
    records: Sequence[Record], run: str, row: Mapping[str, str | None]
) -> dict[str, Any]:
    """Means over seeds of what a run's dataset and round look like; {} for an untrained base.

    records: one for each seed; row: the run's `dataset` and `round`.

    `synth` holds the numbers of the dataset's stage (rows, valid, tokens, ...), `skills` rows per
    task family, `influence` and `prefs` those of the round's stages, `budgets` the run's costs, as
    far as all records have them.
    """
    dataset, round_name = row["dataset"], row["round"]
    facts = {
        "synth": _mean_of([_metrics(record, ("synth", "trim"), dataset) for record in records]),
        "skills": _mean_of([record["skills"].get(dataset, {}) for record in records]),
        "influence": _mean_of([_metrics(r, ("influence",), round_name) for r in records]),
        "prefs": _mean_of([_metrics(record, ("prefs",), round_name) for record in records]),
        "budgets": _mean_of(_in_all([r.get("budgets", {}).get(run, {}) for r in records])),
    }
    if "rows" in facts["budgets"]:  # of joined and selected data no stage writes metrics of synth
        facts["synth"].setdefault("rows", facts["budgets"]["rows"])
    return {name: values for name, values in facts.items() if values}


def _metrics(record: Record, kinds: Sequence[str], name: str | None) -> Mapping[str, Any]:
    """The first kind that has metrics under this name; {} if none has."""
    found = (record["metrics"].get(kind, {}).get(name) for kind in kinds)
    return next((metrics for metrics in found if metrics), {})


def _in_all(dicts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mappings with the keys that all of them have: a cost that one lacks is not known."""
    keys = set(dicts[0]).intersection(*dicts)
    return [{key: value for key, value in values.items() if key in keys} for values in dicts]


def _mean_of(dicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of the numbers under equal keys, nested; a missing number counts as 0."""
    result: dict[str, Any] = {}
    for key in dict.fromkeys(key for values in dicts for key in values):
        found = [values.get(key) for values in dicts]
        if any(isinstance(value, Mapping) for value in found):
            result[key] = _mean_of([v if isinstance(v, Mapping) else {} for v in found])
        elif all(isinstance(value, (int, float, type(None))) for value in found):
            result[key] = sum(float(value or 0) for value in found) / len(found)
    return result
