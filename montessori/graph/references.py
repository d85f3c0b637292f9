"""The plan: how the rows of params.yaml refer to each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from montessori.graph.load import read_section
from montessori.graph.rows import OPTIONAL, ROWS

#: What the first part of a reference such as `teachers/montessori-1` stands for.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "models": ("models",), "teachers": ("rounds", "alignments"), "students": ("students",),
    "influence": ("influences",), "icl": ("icls",), "judge-signal": ("judge_signals",),
    "loss": ("losses",), "uncertainty": ("uncertainties",), "shuffle": ("shuffles",),
    "mistakes": ("mistake_sets",), "drafts": ("drafts",), "preferences": ("preferences",),
    "tasks": ("tasks",), "probe": ("probes", "probe_files", "response_probes"),
    "datasets": ("datasets", "dataset_files", "selections", "joins", "trims", "tailored"),
}  # fmt: skip
SEED_SETS = ("seeds", "reference", "other_reference")
LAB = "micro"  # folder of the lab's files in git; a judge may be one of them

_TEACHER, _ROWS = ("models", "teachers"), ("seed", "datasets", "mistakes")
_SCORES = ("influence", "icl", "judge-signal", "loss", "uncertainty", "shuffle")
_EVALUATED = ("models", "teachers", "students")
#: Keys that refer to another row by folder and name: which folders they may name.
BY_FOLDER: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("probes", "teacher"): _TEACHER, ("probes", "seeds"): _ROWS,
    ("response_probes", "teacher"): _TEACHER, ("judge_signals", "judge"): (*_TEACHER, LAB),
    ("datasets", "teacher"): _TEACHER, ("datasets", "seeds"): _ROWS,
    ("influences", "reference"): _ROWS, ("shuffles", "scores"): _SCORES,
    ("rounds", "scores"): _SCORES, ("rounds", "start"): _TEACHER,
    ("mistake_sets", "student"): ("models", "students"), ("mistake_sets", "rows"): _ROWS,
    ("selections", "scores"): _SCORES, ("runs", "model"): _EVALUATED,
    ("harnesses", "model"): _EVALUATED, ("examinees", "model"): _EVALUATED,
    ("exams", "model"): _EVALUATED,
    ("drafts", "teacher"): _TEACHER, ("tailored", "teacher"): _TEACHER,
    ("icls", "rows"): ("drafts", "probe"), ("icls", "student"): ("models", "students"),
    ("icls", "questions"): ("seed", "preferences", "tasks"),
    ("alignments", "scores"): ("icl",), ("alignments", "start"): _TEACHER,
}  # fmt: skip
_PROBE, _DATASET = ("probes", "probe_files", "response_probes"), FOLDERS["datasets"]
#: Keys that refer to another row by name alone: in which sections.
BY_NAME: Mapping[tuple[str, str], tuple[str, ...]] = {
    **{(section, "probe"): _PROBE for section, cls in ROWS.items()
       if "probe" in cls.__annotations__ and section != "probes"},
    **{(section, "warmup"): ("warmups",) for section, cls in ROWS.items()
       if "warmup" in cls.__annotations__ and section != "warmups"},
    ("warmups", "student"): ("models",), ("students", "dataset"): _DATASET,
    ("joins", "first"): ("datasets",), ("joins", "second"): ("datasets",),
    ("trims", "dataset"): ("datasets",), ("trims", "like"): ("datasets",),
    ("students", "student"): ("models",), ("runs", "against"): ("runs",),
    ("examinees", "tasks"): ("tasks",), ("preferences", "tasks"): ("tasks",),
    ("drafts", "tasks"): ("tasks",), ("tailored", "tasks"): ("tasks",),
    ("alignments", "drafts"): ("drafts",), ("exams", "tasks"): ("tasks",),
}  # fmt: skip

Node = tuple[str, str]  # section and name of a row
Rows = Mapping[str, Mapping[str, Any]]


def read_rows(raw: Mapping[str, Any]) -> tuple[Rows, list[str]]:
    """The well-formed rows of the plural sections, by section and name, and the problems."""
    rows: dict[str, dict[str, Any]] = {}
    found: list[str] = []
    for section, cls in ROWS.items():
        rows[section] = {}
        value = raw.get(section, {} if section in OPTIONAL else None)
        if not isinstance(value, Mapping):
            found.append(
                f"{section}: section is missing"
                if section not in raw
                else f"{section}: {value!r} is not a mapping of names to rows"
            )
            continue
        for name in value:
            row, wrong = read_section({f"{section}.{name}": value[name]}, f"{section}.{name}", cls)
            found += wrong
            if row is not None:
                rows[section][str(name)] = row
    return rows, found


# ---------------------------------------------------------------------------------- references
def references(rows: Rows) -> Iterator[tuple[Node, str, str, tuple[Node, ...]]]:
    """Row, key, text and the nodes that the text may stand for, for each reference.

    No node means that the text has the wrong form; the sets of the seed stage and the lab's files
    are no rows and are left out.
    """
    for section, key in (*BY_FOLDER, *BY_NAME):
        for name, row in rows[section].items():
            text = getattr(row, key)
            if (section, key) in BY_NAME:
                nodes = tuple((target, text) for target in BY_NAME[section, key])
            else:
                folder, _, target = text.partition("/")
                if folder == "seed" and "seed" in BY_FOLDER[section, key] and target in SEED_SETS:
                    continue
                if folder == LAB and LAB in BY_FOLDER[section, key]:
                    continue
                allowed = folder in BY_FOLDER[section, key] and folder in FOLDERS
                nodes = tuple((s, target) for s in FOLDERS[folder]) if allowed else ()
            yield (section, name), key, text, nodes


def find_circle(rows: Rows) -> list[Node]:
    """A circle of rows that need each other, first row again at the end; empty if there is none.

    A run may be compared with any run, itself too, so `against` makes no circle.
    """
    needs: dict[Node, list[Node]] = {}
    for node, key, _, nodes in references(rows):
        existing = [(part, name) for part, name in nodes if name in rows[part]]
        needs.setdefault(node, []).extend(existing if key != "against" else [])
    done: set[Node] = set()

    def walk(node: Node, path: list[Node]) -> list[Node]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        circles = (walk(following, [*path, node]) for following in needs.get(node, []))
        circle = next((found for found in circles if found), [])
        done.add(node)
        return circle

    return next((found for node in list(needs) if (found := walk(node, []))), [])


def key_of(node: Node) -> str:
    """A row as params name it: `rounds.montessori-1`."""
    return ".".join(node)
