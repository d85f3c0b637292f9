"""The rows of params.yaml, what they refer to, and what each stage of a row needs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from montessori.errors import MontessoriError
from montessori.graph.load import read_section
from montessori.graph.rows import RENAMED, ROWS, Names, names_of
from montessori.graph.stages import GRAPH, Graph, Stage

Node = tuple[str, str]  # section and name of a row: rounds, montessori-1
Step = tuple[str, str]  # kind of a stage and name of a row: teacher-dpo, montessori-1
Rows = Mapping[str, Mapping[str, Any]]


def read_rows(raw: Mapping[str, Any]) -> tuple[Rows, list[str]]:
    """The well-formed rows of the plural sections, by section and name, and the problems.

    A section that is missing or empty has no rows. A section under an old name is a problem.
    """
    rows: dict[str, dict[str, Any]] = {}
    problems = [f"{old}: is called {new}" for old, new in RENAMED.items() if old in raw]
    for section, cls in ROWS.items():
        rows[section] = {}
        value = {} if raw.get(section) is None else raw[section]
        if not isinstance(value, Mapping):
            problems.append(f"{section}: {value!r} is not a mapping of names to rows")
            continue
        for name in value:
            key = f"{section}.{name}"
            row, wrong = read_section({key: value[name]}, key, cls)
            problems += wrong
            if row is not None:
                rows[section][str(name)] = row
    return rows, problems


# ---------------------------------------------------------------------------------- references
@dataclass(frozen=True)
class Reference:
    """A key of a row that names another row."""

    row: Node
    key: str
    text: str
    forms: tuple[str, ...]  # the forms that the text may have: "teachers/NAME"; () for a bare name
    fits: bool  # whether it has one of them
    targets: tuple[Node, ...]  # the rows that it may stand for; () where it stands for no row

    @property
    def place(self) -> str:
        """The key as problems name it: `rounds.montessori-1.start`."""
        return f"{name_row(self.row)}.{self.key}"


def find_references(rows: Rows, graph: Graph) -> Iterator[Reference]:
    """Every key of every row that names another row.

    Raises MontessoriError if dvc.yaml has a key name a row by its folder and the row class does
    not say which folders it may name.
    """
    for section, named in rows.items():
        by_name, by_path = _keys_by_name(section, graph), _keys_by_path(section, graph)
        for name, row in named.items():
            for key, sections in by_name.items():
                text = getattr(row, key)
                targets = tuple((target, text) for target in sections)
                yield Reference((section, name), key, text, (), True, targets)
            for key, names in by_path.items():
                yield _refer_by_path((section, name), key, getattr(row, key), names, graph)


def _keys_by_name(section: str, graph: Graph) -> dict[str, tuple[str, ...]]:
    """Keys of a section's rows that name a row: the sections that may have it."""
    keys: dict[str, tuple[str, ...]] = {}
    for stage in graph.stages_of(section):
        for key, folder in stage.by_name.items():
            keys[key] = graph.sections_of(folder)
    return keys


def _keys_by_path(section: str, graph: Graph) -> dict[str, Names]:
    """Keys of a section's rows that name a row by folder and name: what they may name."""
    known = names_of(ROWS[section])
    keys = dict.fromkeys(key for stage in graph.stages_of(section) for key in stage.by_path)
    for key in keys:
        if key not in known:
            raise MontessoriError(
                f"key {key} of class {ROWS[section].__name__} does not say what it may name",
                where=f"montessori/graph/rows.py; {GRAPH} reads data/${{item.{key}}}",
                expected=f"{key}: Annotated[str, Names((FOLDER, ...))]",
                next="name the folders, or one of the constants above the classes",
            )
    return {key: known[key] for key in keys}


def _refer_by_path(row: Node, key: str, text: str, names: Names, graph: Graph) -> Reference:
    forms = (
        *(other.replace("*", "FILE") for other in names.others),
        *(f"{folder}/NAME" for folder in names.folders),
    )
    # Files come first: `micro/judge.json` would otherwise read as a row in a folder `micro`.
    if any(fnmatch(text, other) for other in names.others):
        return Reference(row, key, text, forms, True, ())
    folder, slash, name = text.partition("/")
    if not slash or folder not in names.folders:
        return Reference(row, key, text, forms, False, ())
    targets = tuple((section, name) for section in graph.sections_of(folder))
    return Reference(row, key, text, forms, True, targets)


# ------------------------------------------------------------------------------------- needs
def find_needs(rows: Rows, graph: Graph) -> dict[Step, set[Step]]:
    """For each stage of each row: the stages of rows whose outputs it reads."""
    needs: dict[Step, set[Step]] = {}
    for stage in graph.stages:
        for name, row in rows.get(stage.section or "", {}).items():
            steps: set[Step] = set()
            for folder, needed in _read_rows_of(stage, name, row):
                for writer in graph.writers_of(folder):
                    # Several sections may write into a folder; only one of them has this row.
                    if needed in rows.get(writer.section or "", {}):
                        steps.add((writer.kind, needed))
            needs[stage.kind, name] = steps
    return needs


def _read_rows_of(stage: Stage, name: str, row: Any) -> Iterator[tuple[str, str]]:
    """Folder of data/ and name of each row that a stage of a row reads."""
    yield from ((folder, name) for folder in stage.own)
    yield from ((folder, getattr(row, key)) for key, folder in stage.by_name.items())
    for key in stage.by_path:
        folder, _, needed = getattr(row, key).partition("/")
        yield folder, needed


def find_circle(rows: Rows, graph: Graph) -> list[Node]:
    """A circle of rows that need each other, first row again at the end; empty if there is none.

    Runs may be compared with each other: what a run is compared with is no need of its answers.
    """
    needs = find_needs(rows, graph)
    done: set[Step] = set()

    def walk(step: Step, path: list[Step]) -> list[Step]:
        if step in path:
            return [*path[path.index(step) :], step]
        if step in done:
            return []
        # Sorted, so that the same circle is reported in every process. A generator, so that the
        # search ends with the first one.
        circles = (walk(needed, [*path, step]) for needed in sorted(needs.get(step, ())))
        circle = next((found for found in circles if found), [])
        done.add(step)
        return circle

    steps = next((circle for step in needs if (circle := walk(step, []))), [])
    sections = {stage.kind: stage.section or "" for stage in graph.stages}
    nodes = [(sections[kind], name) for kind, name in steps]
    # Two stages of one row, such as prefs and teacher-dpo of a round, are one step of the circle.
    return [
        node
        for i, node in enumerate(nodes)
        if i == 0 or node != nodes[i - 1] or steps[i] == steps[i - 1]
    ]


def name_row(node: Node) -> str:
    """A row as params name it: `rounds.montessori-1`."""
    return ".".join(node)
