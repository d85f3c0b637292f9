"""The rows of params.yaml that make the graph: a class for each plural section.

A key that names a row by its folder, such as `start: teachers/montessori-1`, has a type that says
which folders it may name. A key that names a row by its name alone needs none: dvc.yaml says whose
rows it means.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from montessori.graph.limits import AnyPath, AtLeast, FilePath, FilledText

Changes = dict[str, Any]  # keys of a section that a row replaces for itself
C = TypeVar("C", bound=type[Any])

#: Plural sections: the class of their rows.
ROWS: dict[str, type[Any]] = {}
#: Sections that older params.yaml files have, and what they are called.
RENAMED = {
    "losses": "student_signals now; each row has measure: loss",
    "uncertainties": "student_signals now; each row has measure: uncertainty",
    "loss": "student_signal now",
    "uncertainty": "student_signal now",
}


@dataclass(frozen=True)
class Names:
    """What a key of a row may name: a row in one of some folders of data/, as `FOLDER/NAME`.

    `others` are folders and names that belong to no row; a name may be a pattern such as *.json.
    """

    folders: tuple[str, ...]
    others: tuple[str, ...] = ()


SEED_SETS = ("seed/seeds", "seed/reference", "seed/other_reference")
TEACHER = Names(("models", "teachers"))
STUDENT = Names(("models", "students"))
MODEL = Names(("models", "teachers", "students"))
JUDGE = Names(("models", "teachers"), others=("micro/*.json",))
EXAMPLES = Names(("datasets", "mistakes"), SEED_SETS)
SCORES = Names(("influence", "icl", "judge-signal", "student-signal", "shuffle"))
ICL_SCORES = Names(("icl",))
DEMONSTRATIONS = Names(("drafts", "probe"))
QUESTIONS = Names(("preferences", "tasks"), SEED_SETS)


def rows_of(*sections: str) -> Callable[[C], C]:
    """Make a class that of the rows of plural sections."""

    def register(cls: C) -> C:
        ROWS.update(dict.fromkeys(sections, cls))
        return cls

    return register


def names_of(cls: type[Any]) -> dict[str, Names]:
    """The keys of a row class that name a row by folder and name, and what each may name."""
    hints = get_type_hints(cls, include_extras=True)
    names: dict[str, Names] = {}
    for key, hint in hints.items():
        # `__metadata__` holds what stands behind the type in `Annotated`.
        for kind in getattr(hint, "__metadata__", ()):
            if isinstance(kind, Names):
                names[key] = kind
    return names


def changes_of(section: str) -> tuple[str, ...]:
    """Keys of a section's rows that replace settings, for the row, of the section of that name."""
    return tuple(key.name for key in fields(ROWS[section]) if key.default_factory is dict)


@rows_of("models")
@dataclass(frozen=True)
class Model:
    """A base model: the path of its folder, or of a .json file that names a hub model."""

    path: AnyPath
    model: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Sources:
    """Where the seed pool, the reference sets, the eval sets and held-out rows come from."""

    seeds: FilePath
    reference: FilePath
    other_reference: FilePath
    evals: AnyPath
    heldout: FilePath


@rows_of("probes")
@dataclass(frozen=True)
class Probe:
    """Probing data: who writes it, with which examples."""

    teacher: Annotated[str, TEACHER]
    seeds: Annotated[str, EXAMPLES]
    probe: Changes = field(default_factory=dict)


@rows_of("probe_files", "dataset_files")
@dataclass(frozen=True)
class RowsFile:
    """Probing data from a file."""

    rows: FilePath
    reading: Changes = field(default_factory=dict)


@rows_of("response_probes")
@dataclass(frozen=True)
class ResponseProbe:
    """Probing data of responses: several to each instruction of a probe that warm-up left over."""

    probe: str
    warmup: str
    teacher: Annotated[str, TEACHER]
    response_probe: Changes = field(default_factory=dict)


@rows_of("warmups")
@dataclass(frozen=True)
class Warmup:
    """A base student warmed up on the first rows of a probe."""

    probe: str
    student: str
    warmup: Changes = field(default_factory=dict)


@rows_of("influences")
@dataclass(frozen=True)
class Influence:
    """Scores of the probe rows not used in warm-up: influence on the loss on a reference set."""

    probe: str
    warmup: str
    reference: Annotated[str, EXAMPLES]
    influence: Changes = field(default_factory=dict)


@rows_of("judge_signals")
@dataclass(frozen=True)
class JudgeSignal:
    """Scores of a probe's rows by a judge: a model, or a .json file such as micro/judge.json."""

    probe: str
    judge: Annotated[str, JUDGE]
    judge_signal: Changes = field(default_factory=dict)


@rows_of("student_signals")
@dataclass(frozen=True)
class StudentSignal:
    """Scores of the probe rows not used in warm-up: the warmed-up student's loss or entropy."""

    measure: Literal["loss", "uncertainty"]
    probe: str
    warmup: str
    student_signal: Changes = field(default_factory=dict)


@rows_of("shuffles")
@dataclass(frozen=True)
class Shuffle:
    """A placebo: the scores of another table, permuted."""

    scores: Annotated[str, SCORES]


@rows_of("rounds")
@dataclass(frozen=True)
class Round:
    """A round makes a teacher: from scores of a probe's rows, starting from another teacher."""

    scores: Annotated[str, SCORES]
    probe: str
    start: Annotated[str, TEACHER]
    prefs: Changes = field(default_factory=dict)
    teacher_dpo: Changes = field(default_factory=dict)


@rows_of("datasets")
@dataclass(frozen=True)
class Dataset:
    """What a teacher wrote."""

    teacher: Annotated[str, TEACHER]
    seeds: Annotated[str, EXAMPLES]
    synth: Changes = field(default_factory=dict)


@rows_of("mistake_sets")
@dataclass(frozen=True)
class MistakeSet:
    """The rows of a set that a student gets wrong."""

    student: Annotated[str, STUDENT]
    rows: Annotated[str, EXAMPLES]
    mistakes: Changes = field(default_factory=dict)


@rows_of("selections")
@dataclass(frozen=True)
class Selection:
    """A data set of the best rows of a probe, by their scores."""

    probe: str
    scores: Annotated[str, SCORES]
    select: Changes = field(default_factory=dict)


@rows_of("joins")
@dataclass(frozen=True)
class Join:
    """A data set of all rows of `second` behind the first rows of `first`."""

    first: str
    second: str


@rows_of("trims")
@dataclass(frozen=True)
class Trim:
    """A data set cut to the response tokens of another."""

    dataset: str
    like: str


@rows_of("tasks")
@dataclass(frozen=True)
class Tasks:
    """Tasks of ARTE: a tasks file, a lab recipe, or a folder of BBH files."""

    source: AnyPath


@rows_of("examinees")
@dataclass(frozen=True)
class Examinee:
    """A model that takes tasks' validation questions, so that the best questions are found."""

    model: Annotated[str, MODEL]
    tasks: str


@rows_of("preferences")
@dataclass(frozen=True)
class Preference:
    """The most discriminative validation questions of tasks."""

    tasks: str


@rows_of("drafts")
@dataclass(frozen=True)
class Drafts:
    """Questions of tasks, and rationales to them, that a teacher wrote."""

    teacher: Annotated[str, TEACHER]
    tasks: str
    filter: Changes = field(default_factory=dict)


@rows_of("icls")
@dataclass(frozen=True)
class Icl:
    """In-context scores of rows: each is the one example of a student that answers questions."""

    rows: Annotated[str, DEMONSTRATIONS]
    student: Annotated[str, STUDENT]
    questions: Annotated[str, QUESTIONS]


@rows_of("alignments")
@dataclass(frozen=True)
class Alignment:
    """A round of ARTE makes a teacher: from scores of drafts, starting from another teacher."""

    drafts: str
    scores: Annotated[str, ICL_SCORES]
    start: Annotated[str, TEACHER]
    teacher_dpo: Changes = field(default_factory=dict)


@rows_of("tailored")
@dataclass(frozen=True)
class Tailored:
    """Training data by ARTE: questions of tasks, solved by the naive or a task's own prompt."""

    teacher: Annotated[str, TEACHER]
    tasks: str
    strategy: Literal["naive", "task"] = "naive"
    filter: Changes = field(default_factory=dict)


@rows_of("students")
@dataclass(frozen=True)
class Student:
    """A base student trained on a data set."""

    dataset: str
    student: str
    student_sft: Changes = field(default_factory=dict)


@rows_of("runs")
@dataclass(frozen=True)
class Run:
    """A model that is evaluated, against another run."""

    model: Annotated[str, MODEL]
    against: str


@rows_of("harnesses")
@dataclass(frozen=True)
class Harness:
    """A model that takes an lm-eval task, with so many examples (-1: the task's own number)."""

    model: Annotated[str, MODEL]
    task: FilledText
    shots: Annotated[int, AtLeast(-1), "examples"]


@rows_of("exams")
@dataclass(frozen=True)
class Exam:
    """A model that takes the test questions of tasks."""

    model: Annotated[str, MODEL]
    tasks: str
