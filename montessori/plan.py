"""The rows of params.yaml that make the graph, and how they refer to each other."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from montessori.params import read_section

Changes = dict[str, Any]  # keys of a section that a row replaces for itself


@dataclass(frozen=True)
class Model:
    """A base model: the path of its folder, or of a .json file that names a hub model."""

    path: str


@dataclass(frozen=True)
class Sources:
    """Where the seed pool, the reference sets and the eval sets come from."""

    seeds: str
    reference: str
    other_reference: str
    evals: str


@dataclass(frozen=True)
class Probe:
    """Probing data: who writes it, with which examples."""

    teacher: str
    seeds: str
    probe: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class RowsFile:
    """Probing data from a file."""

    rows: str


@dataclass(frozen=True)
class ResponseProbe:
    """Probing data of responses: several to each instruction of a probe that warm-up left over."""

    probe: str
    warmup: str
    teacher: str
    response_probe: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Warmup:
    """A base student warmed up on the first rows of a probe."""

    probe: str
    student: str
    warmup: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Influence:
    """Scores of a probe's other rows: their influence on the loss on a reference set."""

    probe: str
    warmup: str
    reference: str
    influence: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class JudgeSignal:
    """Scores of a probe's rows by a judge: a model, or a .json file such as micro/judge.json."""

    probe: str
    judge: str
    judge_signal: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Loss:
    """Scores of a probe's other rows: the warmed-up student's loss on them."""

    probe: str
    warmup: str
    loss: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Uncertainty:
    """Scores of a probe's other rows: how uncertain the warmed-up student is of them."""

    probe: str
    warmup: str
    uncertainty: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Shuffle:
    """A placebo: the scores of another table, permuted."""

    scores: str


@dataclass(frozen=True)
class Round:
    """A round makes a teacher: from scores of a probe's rows, starting from another teacher."""

    scores: str
    probe: str
    start: str
    prefs: Changes = field(default_factory=dict)
    teacher_dpo: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """What a teacher wrote."""

    teacher: str
    seeds: str
    synth: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class MistakeSet:
    """The rows of a set that a student gets wrong."""

    student: str
    rows: str
    mistakes: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """A data set of the best rows of a probe, by their scores."""

    probe: str
    scores: str
    select: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Join:
    """A data set of all rows of `second` behind the first rows of `first`."""

    first: str
    second: str


@dataclass(frozen=True)
class Trim:
    """A data set cut to the response tokens of another."""

    dataset: str
    like: str


@dataclass(frozen=True)
class Tasks:
    """Tasks of ARTE: a tasks file, a lab recipe, or a folder of BBH files."""

    source: str


@dataclass(frozen=True)
class Examinee:
    """A model that takes tasks' validation questions, so that the best questions are found."""

    model: str
    tasks: str


@dataclass(frozen=True)
class Preference:
    """The most discriminative validation questions of tasks."""

    tasks: str


@dataclass(frozen=True)
class Drafts:
    """Questions of tasks, and rationales to them, that a teacher wrote."""

    teacher: str
    tasks: str


@dataclass(frozen=True)
class Icl:
    """In-context scores of rows: each is the one example of a student that answers questions."""

    rows: str
    student: str
    questions: str


@dataclass(frozen=True)
class Alignment:
    """A round of ARTE makes a teacher: from scores of drafts, starting from another teacher."""

    drafts: str
    scores: str
    start: str
    teacher_dpo: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Tailored:
    """Training data by ARTE: questions of tasks, solved by the naive or a task's own prompt."""

    teacher: str
    tasks: str
    strategy: Literal["naive", "task"] = "naive"


@dataclass(frozen=True)
class Student:
    """A base student trained on a data set."""

    dataset: str
    student: str
    student_sft: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A model that is evaluated, against another run."""

    model: str
    against: str


@dataclass(frozen=True)
class Harness:
    """A model that takes an lm-eval task, with so many examples (-1: the task's own number)."""

    model: str
    task: str
    shots: int


#: Plural sections: the class of their rows.
ROWS: Mapping[str, type[Any]] = {
    "models": Model, "probes": Probe, "probe_files": RowsFile, "response_probes": ResponseProbe,
    "warmups": Warmup, "influences": Influence, "judge_signals": JudgeSignal, "losses": Loss,
    "uncertainties": Uncertainty, "shuffles": Shuffle, "rounds": Round, "mistake_sets": MistakeSet,
    "datasets": Dataset, "dataset_files": RowsFile, "selections": Selection, "joins": Join,
    "trims": Trim, "students": Student, "runs": Run, "harnesses": Harness, "tasks": Tasks,
    "examinees": Examinee, "preferences": Preference, "drafts": Drafts, "icls": Icl,
    "alignments": Alignment, "tailored": Tailored,
}  # fmt: skip
OPTIONAL = (  # plural sections that may be left out
    "trims", "dataset_files", "harnesses", "response_probes", "judge_signals", "losses",
    "uncertainties", "mistake_sets", "selections", "joins", "tasks", "examinees", "preferences",
    "drafts", "icls", "alignments", "tailored",
)  # fmt: skip
#: Keys of rows that are no reference but settings of the section of this name, for the row alone.
CHANGES: Mapping[str, tuple[str, ...]] = {
    section: tuple(f.name for f in fields(cls) if f.default_factory is dict)
    for section, cls in ROWS.items()
}

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
#: Keys that refer to other rows by folder and name: which folders they may name.
BY_FOLDER: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("probes", "teacher"): _TEACHER, ("probes", "seeds"): _ROWS,
    ("response_probes", "teacher"): _TEACHER, ("judge_signals", "judge"): (*_TEACHER, LAB),
    ("datasets", "teacher"): _TEACHER, ("datasets", "seeds"): _ROWS,
    ("influences", "reference"): _ROWS, ("shuffles", "scores"): _SCORES,
    ("rounds", "scores"): _SCORES, ("rounds", "start"): _TEACHER,
    ("mistake_sets", "student"): ("models", "students"), ("mistake_sets", "rows"): _ROWS,
    ("selections", "scores"): _SCORES, ("runs", "model"): _EVALUATED,
    ("harnesses", "model"): _EVALUATED, ("examinees", "model"): _EVALUATED,
    ("drafts", "teacher"): _TEACHER, ("tailored", "teacher"): _TEACHER,
    ("icls", "rows"): ("drafts", "probe"), ("icls", "student"): ("models", "students"),
    ("icls", "questions"): ("seed", "preferences", "tasks"),
    ("alignments", "scores"): ("icl",), ("alignments", "start"): _TEACHER,
}  # fmt: skip
_PROBE, _DATASET = ("probes", "probe_files", "response_probes"), FOLDERS["datasets"]
#: Keys that refer to other rows by name alone: in which sections.
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
    ("alignments", "drafts"): ("drafts",),
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
