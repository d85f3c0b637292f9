"""What the records of a proof say together: means, paired differences and intervals over seeds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from montessori.compare.run_outcomes import MEAN, order_metrics
from montessori.errors import MontessoriError
from montessori.evals.items import HELDOUT, ONE_TO_TEN, ORDER, is_exam
from montessori.evals.significance import correct_by_holm
from montessori.evals.statistics import compare_over_seeds
from montessori.proof.newest import Choose, own_figures, provenance_of

#: Differences between two methods that the papers discuss; on the mean and on exams only.
STEPS = (
    ("montessori-2", "montessori-1"),
    ("montessori-1", "placebo"),
    ("montessori-1", "responses"),
    ("montessori-1", "bootstrap"),
    ("montessori-1", "self-reward"),
    ("montessori-1", "loss"),
    ("montessori-1", "uncertainty"),
    ("montessori-1", "icl"),
    ("arte-1", "arte-0"),
    ("consistent", "arte-0"),
    ("montessori-1", "self-instruct-3100"),
    ("montessori-1", "self-instruct-4300"),
    # Ablations, each against the round of which it changes one thing.
    ("group", "montessori-1"),
    ("all-pairs", "montessori-1"),
    ("best-worst", "montessori-1"),
    ("margin", "montessori-1"),
    ("seeds-in-domain", "montessori-1"),
    ("seeds-out-of-domain", "montessori-1"),
    ("old-probe", "montessori-2"),
    ("old-warmup", "montessori-2"),
    ("from-base", "montessori-2"),
)

#: The question that was asked before any run: does a round raise the mean? Its comparisons are a
#: family of their own in Holm's correction, so no other row of a profile changes their p-values.
ASKED = (("montessori-1", "self-instruct"), ("montessori-2", "self-instruct"))

Record = Mapping[str, Any]
Sources = Mapping[str, Sequence[Record]]  # run -> the records of its figures, by seed
Entries = dict[str, dict[str, float | None]]  # metric -> value, delta, low, high, p
Tables = Mapping[str, Mapping[str, Mapping[str, dict[str, Any]]]]  # table -> row -> metric -> entry


def score_points(record: Record, run: str, metric: str) -> float:
    """A metric of a run on 0-100: MT-Bench as (score - 1) / 9 x 100, the others as they are.

    The loss on held-out rows stays in nats.
    """
    value = float(record["metrics"]["eval"][run][metric])
    return (value - 1.0) / 9.0 * 100.0 if metric in ONE_TO_TEN else value


def shared_metrics(sources: Sources) -> list[str]:
    """List the mean, benchmarks and exams that every run has at every seed, in table order."""
    metrics: list[Mapping[str, float]] = []
    for run, records in sources.items():
        metrics += [record["metrics"]["eval"][run] for record in records]
    names = (*ORDER, *filter(is_exam, metrics[0]), MEAN)
    return order_metrics(name for name in names if all(name in values for values in metrics))


def main_metrics(names: Iterable[str]) -> list[str]:
    """The metrics of sentences and steps: the mean, then exams and held-out loss among `names`."""
    return [MEAN, *(name for name in names if is_exam(name) or name == HELDOUT)]


def summarise_records(records: Sequence[Record], choose: Choose = own_figures) -> dict[str, Any]:
    """Compute the content of metrics/proof/<profile>.json.

    A run's delta is its difference to the run in its `against`, paired by seed: self-instruct, or
    for rows at equal response tokens self-instruct cut in the same way. p-values are of a paired t
    test over seeds, with Holm's correction in two families for each student: the comparisons of
    ASKED, and all others.

    records: those of one profile. choose: returns the record that a run's figures are taken from.

    Raises:
        MontessoriError: no record, or records of one student with different runs.
    """
    if not records:
        raise MontessoriError("no experiment is complete", next="make proof SEEDS=0-4")
    by_student: dict[str, list[Record]] = {}
    for record in records:
        by_student.setdefault(record["student"], []).append(record)
    students = {}
    for name, group in by_student.items():
        by_seed = sorted(group, key=lambda record: record["seed"])
        students[name] = _summarise_student(name, by_seed, choose)
    return {"over": "seeds", "students": students}


def _summarise_student(name: str, records: Sequence[Record], choose: Choose) -> dict[str, Any]:
    """A student's part of the summary; `records` are in the order of seeds."""
    runs = _common_runs(name, records)
    sources = {run: [choose(record, run) for record in records] for run in runs}
    against = {run: row["against"] for run, row in runs.items()}
    tables = {"runs": _run_entries(sources, against), "steps": _step_entries(sources)}
    return {
        "seeds": [record["seed"] for record in records],
        "comparisons": _correct_p_values(tables, against),
        "against": against,
        "trained": [run for run, row in runs.items() if row["dataset"] is not None],
        **tables,
        "means": {run: _means_by_seed(of_run, run) for run, of_run in sources.items()},
        "recorded": {run: provenance_of(of_run) for run, of_run in sources.items()},
        "data": {run: describe_data(of_run, run, runs[run]) for run, of_run in sources.items()},
    }


def _common_runs(name: str, records: Sequence[Record]) -> dict[str, Mapping[str, Any]]:
    """The runs of a student, in their order; raises MontessoriError if the seeds differ."""
    runs = {run: records[0]["runs"][run] for run in records[0]["order"]}
    if any(record["runs"] != runs for record in records):
        raise MontessoriError(
            f"the seeds of {name} were run with different rows in params.yaml",
            where="metrics/proof",
            next="make proof with all seeds again",
        )
    return runs


def _run_entries(sources: Sources, against: Mapping[str, str]) -> dict[str, Entries]:
    """Each run on all shared metrics, beside the run that it is compared with."""
    names = shared_metrics(sources)
    return {run: _paired_differences(sources, run, other, names) for run, other in against.items()}


def _step_entries(sources: Sources) -> dict[str, Entries]:
    """The steps of which both runs exist, on the main metrics."""
    names = main_metrics(shared_metrics(sources))
    entries = {}
    for run, other in STEPS:
        if run in sources and other in sources:
            entries[f"{run} - {other}"] = _paired_differences(sources, run, other, names)
    return entries


def _means_by_seed(records: Sequence[Record], run: str) -> list[float]:
    return [score_points(record, run, MEAN) for record in records]


def _correct_p_values(tables: Tables, against: Mapping[str, str]) -> dict[str, int]:
    """Add `p_holm` to each `p`: Holm's correction within each family of a student.

    Both are None for a run compared with itself, which is no comparison, and for fewer than two
    seeds. Returns the number of comparisons in each family.
    """
    families: dict[str, dict[tuple[str, str, str], float]] = {"asked": {}, "others": {}}
    for table, row, metric, entry in _all_entries(tables):
        if table == "runs" and against[row] == row:
            entry["p"] = None
        entry["p_holm"] = None
        if entry["p"] is not None:
            asked = table == "runs" and metric == MEAN and (row, against[row]) in ASKED
            families["asked" if asked else "others"][table, row, metric] = entry["p"]
    for p_values in families.values():
        for (table, row, metric), value in correct_by_holm(p_values).items():
            tables[table][row][metric]["p_holm"] = value
    return {family: len(p_values) for family, p_values in families.items()}


def _all_entries(tables: Tables) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Each entry of the tables with the names of its table, row and metric."""
    for table, rows in tables.items():
        for row, metrics in rows.items():
            for metric, entry in metrics.items():
                yield table, row, metric, entry


def _paired_differences(
    sources: Sources, run: str, other: str, metrics: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """The metrics of a run and their differences to another run, paired by seed."""
    differences = {}
    for metric in metrics:
        own = [score_points(record, run, metric) for record in sources[run]]
        others = [score_points(record, other, metric) for record in sources[other]]
        differences[metric] = compare_over_seeds(own, others)
    return differences


def describe_data(
    records: Sequence[Record], run: str, row: Mapping[str, str | None]
) -> dict[str, Any]:
    """Average over seeds what is known of a run's dataset, round and costs.

    records: one for each seed; row: the run's `dataset` and `round`.

    `synth` has the numbers of the dataset's stage (rows, valid, tokens, ...), `skills` the rows per
    task family, `influence` and `prefs` the numbers of the round's stages, `budgets` the costs that
    all records have. Empty parts are dropped, so an untrained base has {}.
    """
    dataset, round_name = row["dataset"], row["round"]
    synth = [_first_metrics(record, ("synth", "trim"), dataset) for record in records]
    influence = [_first_metrics(record, ("influence",), round_name) for record in records]
    prefs = [_first_metrics(record, ("prefs",), round_name) for record in records]
    budgets = [record.get("budgets", {}).get(run, {}) for record in records]
    parts = {
        "synth": _mean_of(synth),
        "skills": _mean_of([record["skills"].get(dataset, {}) for record in records]),
        "influence": _mean_of(influence),
        "prefs": _mean_of(prefs),
        "budgets": _mean_of(_shared_keys(budgets)),
    }
    if "rows" in parts["budgets"]:  # joined and selected datasets have no metrics in synth
        parts["synth"].setdefault("rows", parts["budgets"]["rows"])
    return {name: values for name, values in parts.items() if values}


def _first_metrics(record: Record, kinds: Sequence[str], name: str | None) -> Mapping[str, Any]:
    """The metrics of this name of the first kind that has some; {} if none has."""
    for kind in kinds:
        metrics: Mapping[str, Any] = record["metrics"].get(kind, {}).get(name)
        if metrics:
            return metrics
    return {}


def _shared_keys(dicts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Keep the keys that all mappings have: a cost that one seed lacks has no known mean."""
    keys = set(dicts[0]).intersection(*dicts)
    return [{key: value for key, value in values.items() if key in keys} for values in dicts]


def _mean_of(dicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average the numbers under equal keys, nested; a missing number counts as 0.

    Keys with anything else, such as texts and lists, are dropped.
    """
    means: dict[str, Any] = {}
    for key in _all_keys(dicts):
        values = [mapping.get(key) for mapping in dicts]
        if any(isinstance(value, Mapping) for value in values):
            means[key] = _mean_of([v if isinstance(v, Mapping) else {} for v in values])
        elif all(_is_number_or_missing(value) for value in values):
            means[key] = sum(float(value or 0) for value in values) / len(values)
    return means


def _all_keys(dicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of all mappings, each once, in the order of their first appearance."""
    keys: dict[str, None] = {}
    for mapping in dicts:
        keys |= dict.fromkeys(mapping)
    return list(keys)


def _is_number_or_missing(value: Any) -> bool:
    return isinstance(value, (int, float, type(None)))
