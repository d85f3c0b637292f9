"""Every problem of params.yaml, found together: rows, references, settings, files."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from itertools import combinations, product
from pathlib import Path
from typing import Any

from montessori.commands.check_descriptions import description_problems
from montessori.commands.check_files import file_problems
from montessori.commands.check_hosted import hosted_problems
from montessori.commands.check_tasks import task_problems
from montessori.graph.limits import LARGEST_SEED
from montessori.graph.lines import find_lines, number_problems
from montessori.graph.load import FILE, apply_row_changes, join_problems, read_section, read_yaml
from montessori.graph.names import find_name_problem
from montessori.graph.references import (
    Reference,
    Rows,
    find_circle,
    find_references,
    name_row,
    read_rows,
)
from montessori.graph.rows import RENAMED, ROWS, Sources, changes_of
from montessori.graph.scripts import find_settings_classes
from montessori.graph.stages import GRAPH, Graph, read_graph
from montessori.pipeline.machine import Machine

#: Sections that no stage script reads: dvc.yaml has keys of them on command lines.
UNREAD: Mapping[str, type[Any]] = {"sources": Sources}


def check_file(path: Path, root: Path) -> None:
    """`check_params` of a file, whose problems then have line numbers."""
    check_params(read_yaml(path), root, path.name, path.read_text(encoding="utf-8"))


def check_params(raw: Mapping[str, Any], root: Path, file: str = FILE, text: str = "") -> None:
    """Raise one MontessoriError with every problem of a params mapping, if it has any.

    `root` has dvc.yaml and the stage scripts; the files that params name must exist below it.
    `text` is what the mapping was read from, for line numbers.
    """
    problems = find_problems(raw, read_graph(root), root)
    if problems:
        raise join_problems(number_problems(problems, find_lines(text)), file)


def find_problems(raw: Mapping[str, Any], graph: Graph, root: Path | None = None) -> list[str]:
    """Every problem of the rows and settings, each starting with its key.

    With `root` the files that params name must exist below it.
    """
    classes = _read_classes(graph)
    rows, of_rows = read_rows(raw)
    problems = _section_problems(raw, graph, {*classes, *ROWS, *RENAMED, "seed", "machine"})
    problems += of_rows + _settings_problems(raw, classes)
    problems += _name_problems(raw, rows, graph)
    problems += _reference_problems(rows, graph)
    problems += _change_problems(raw, rows, classes)
    circle = find_circle(rows, graph)
    if circle:
        problems.append(
            f"{name_row(circle[0])}: goes in a circle: {' needs '.join(map(name_row, circle))}"
        )
    # These checks follow references from row to row: they need well-formed rows and would not end
    # in a circle.
    if not (of_rows or circle):
        problems += _probe_problems(rows, graph)
        problems += _draft_problems(rows) + _preference_problems(rows) + _trim_problems(rows)
    problems += _baseline_problem(raw)
    if root is None:
        return problems
    problems += file_problems(raw, rows, graph, classes, root)
    problems += description_problems(raw, rows, root)
    return problems + hosted_problems(raw, rows, graph, root) + task_problems(rows)


# ------------------------------------------------------------------------ sections and settings
def _read_classes(graph: Graph) -> dict[str, type[Any]]:
    """The class of each section of settings, imported from where stage scripts import it."""
    places = {section: place.split(":") for section, place in find_settings_classes(graph).items()}
    classes = {name: getattr(import_module(module), cls) for name, (module, cls) in places.items()}
    return {**classes, **UNREAD}


def _section_problems(raw: Mapping[str, Any], graph: Graph, known: set[str]) -> list[str]:
    problems = [f"{name}: unknown section" for name in raw if name not in known]
    seed = raw.get("seed")
    # A bool is an int in Python, but `seed: true` is a slip.
    if not isinstance(seed, int) or isinstance(seed, bool):
        problems.append(
            "seed: section is missing" if seed is None else f"seed: {seed!r} is not a whole number"
        )
    elif abs(seed) > LARGEST_SEED:
        problems.append(f"seed: it is beyond {LARGEST_SEED}, the largest seed")
    # DVC stops at a section that is missing or null, although it has no rows either way.
    problems += [
        f"{section}: section is missing; {GRAPH} goes over its rows, so write {section}: {{}}"
        for section in graph.row_sections()
        if raw.get(section) is None
    ]
    return problems


def _settings_problems(raw: Mapping[str, Any], classes: Mapping[str, type[Any]]) -> list[str]:
    problems = read_section(raw, "machine", Machine)[1]
    for name, cls in classes.items():
        problems += read_section(raw, name, cls)[1]
    return problems


def _change_problems(
    raw: Mapping[str, Any], rows: Rows, classes: Mapping[str, type[Any]]
) -> list[str]:
    """Problems of the settings that rows replace for themselves."""
    problems = []
    for section, named in rows.items():
        for name, row in named.items():
            for key in changes_of(section):
                if getattr(row, key):
                    place = f"{section}.{name}.{key}"
                    settings = apply_row_changes(raw, key, section, name).get(key)
                    problems += read_section({place: settings}, place, classes[key])[1]
    return problems


def _baseline_problem(raw: Mapping[str, Any]) -> list[str]:
    compare, runs = raw.get("compare"), raw.get("runs")
    if not isinstance(compare, Mapping) or not isinstance(runs, Mapping):
        return []
    baseline = compare.get("baseline")
    # a value that is no text has no place in a mapping's keys, and may not even be asked for
    if baseline is None or (isinstance(baseline, str) and baseline in runs):
        return []
    return [f"compare.baseline: {baseline!r} does not exist; runs has {', '.join(runs)}"]


# -------------------------------------------------------------------------- names and references
def _name_problems(raw: Mapping[str, Any], rows: Rows, graph: Graph) -> list[str]:
    problems = []
    for section in rows:
        named = raw.get(section)
        for name in named if isinstance(named, Mapping) else ():
            found = find_name_problem(name, section)
            problems += [f"{section}.{name}: {found}"] if found else []
    for first, second in dict.fromkeys(_sharing_folders(graph)):
        problems += [
            f"{second}.{name}: {first} has a row of this name too"
            for name in rows[second]
            if name in rows[first]
        ]
    return [*problems, *_twin_problems(rows, graph)]


def _twin_problems(rows: Rows, graph: Graph) -> Iterator[str]:
    """Names that differ in capitals alone are the same file where file systems ignore these."""
    within = ((section, section) for section in rows)
    for first, second in dict.fromkeys([*within, *_sharing_folders(graph)]):
        for one, other in product(rows[first], rows[second]):
            if one != other and one.lower() == other.lower() and (first != second or one < other):
                yield (
                    f"{second}.{other}: differs from {first}.{one} in capitals alone, and macOS "
                    f"and Windows have one file for both; call it {other.lower()}-2"
                )


def _sharing_folders(graph: Graph) -> Iterator[tuple[str, str]]:
    """Pairs of sections whose rows are written to the same folder."""
    for folder in dict.fromkeys(folder for stage in graph.stages for folder in stage.folders):
        yield from combinations(graph.sections_of(folder), 2)


def _reference_problems(rows: Rows, graph: Graph) -> list[str]:
    problems = (_reference_problem(ref, rows) for ref in find_references(rows, graph))
    return [problem for problem in problems if problem is not None]


def _reference_problem(ref: Reference, rows: Rows) -> str | None:
    """What is wrong with a key that names another row; None if nothing is."""
    if not ref.fits:
        return f"{ref.place}: {ref.text!r} is not one of {', '.join(ref.forms)}"
    if not ref.targets or any(name in rows[section] for section, name in ref.targets):
        return None
    sections = [section for section, _ in ref.targets]
    names = sorted({name for section in sections for name in rows[section]})
    return (
        f"{ref.place}: {ref.text!r} does not exist; "
        f"{' or '.join(sections)} has {', '.join(names) or 'no rows'}"
    )


# -------------------------------------------------------------------------- rows that must agree
def _probe_problems(rows: Rows, graph: Graph) -> list[str]:
    """Scores must be of the row's own probe: the rows of another probe have other ids."""
    problems = []
    for section, what in (("rounds", "round"), ("selections", "selection")):
        for name, row in rows[section].items():
            scored = _scored_probe(rows, row.scores, graph)
            if scored is not None and scored != row.probe:
                problems.append(
                    f"{section}.{name}.scores: {row.scores} scores the probe {scored}, "
                    f"but the {what}'s probe is {row.probe}"
                )
    return problems


def _scored_probe(rows: Rows, scores: str, graph: Graph) -> str | None:
    """The probe whose rows a table of scores is on; of shuffled scores, that of the scores."""
    folder, _, name = scores.partition("/")
    for section in graph.sections_of(folder):
        row = rows[section].get(name)
        if row is not None:
            if section == "shuffles":
                return _scored_probe(rows, row.scores, graph)
            named = getattr(row, "rows", "").removeprefix("probe/")  # other kinds keep their folder
            return getattr(row, "probe", named or None)
    return None


def _draft_problems(rows: Rows) -> list[str]:
    """An alignment pairs the very drafts that its scores are of."""
    problems = []
    for name, row in rows["alignments"].items():
        icl = rows["icls"].get(row.scores.removeprefix("icl/"))
        if icl is not None and icl.rows != f"drafts/{row.drafts}":
            problems.append(
                f"alignments.{name}.scores: {row.scores} scores {icl.rows}, "
                f"but the alignment's drafts are drafts/{row.drafts}"
            )
    return problems


def _preference_problems(rows: Rows) -> list[str]:
    """Without examinees all questions look the same."""
    taken = {row.tasks for row in rows["examinees"].values()}
    return [
        f"preferences.{name}.tasks: no row of examinees takes the tasks {row.tasks!r}; add one, "
        f"such as examinees.mine: {{model: models/student, tasks: {row.tasks}}}"
        for name, row in rows["preferences"].items()
        if row.tasks not in taken
    ]


def _trim_problems(rows: Rows) -> list[str]:
    """Only a teacher's rows have the number of response tokens by which datasets are trimmed."""
    return [
        f"trims.{name}.{key}: {getattr(row, key)!r} has rows from a file of your own, "
        "whose response tokens are not counted"
        for name, row in rows["trims"].items()
        for key in ("dataset", "like")
        if _has_own_rows(getattr(row, key), rows)
    ]


def _has_own_rows(dataset: str, rows: Rows) -> bool:
    """Whether rows of a dataset come from a file, directly or through other datasets."""
    if dataset in rows["selections"]:
        return rows["selections"][dataset].probe in rows["probe_files"]
    if dataset in rows["trims"]:
        return _has_own_rows(rows["trims"][dataset].dataset, rows)
    if dataset in rows["joins"]:
        join = rows["joins"][dataset]
        return any(_has_own_rows(part, rows) for part in (join.first, join.second))
    return dataset in rows["dataset_files"]
