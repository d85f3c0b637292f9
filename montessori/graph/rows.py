"""The rows of params.yaml that make the graph: a class for each plural section."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

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
    """Scores of the probe rows not used in warm-up: influence on the loss on a reference set."""

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
    """Scores of the probe rows not used in warm-up: the warmed-up student's loss on them."""

    probe: str
    warmup: str
    loss: Changes = field(default_factory=dict)


@dataclass(frozen=True)
class Uncertainty:
    """Scores of the probe rows not used in warm-up: the warmed-up student's entropy on them."""

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
    filter: Changes = field(default_factory=dict)


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
    filter: Changes = field(default_factory=dict)


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


@dataclass(frozen=True)
class Exam:
    """A model that takes the test questions of tasks."""

    model: str
    tasks: str


#: Plural sections: the class of their rows.
ROWS: Mapping[str, type[Any]] = {
    "models": Model, "probes": Probe, "probe_files": RowsFile, "response_probes": ResponseProbe,
    "warmups": Warmup, "influences": Influence, "judge_signals": JudgeSignal, "losses": Loss,
    "uncertainties": Uncertainty, "shuffles": Shuffle, "rounds": Round, "mistake_sets": MistakeSet,
    "datasets": Dataset, "dataset_files": RowsFile, "selections": Selection, "joins": Join,
    "trims": Trim, "students": Student, "runs": Run, "harnesses": Harness, "tasks": Tasks,
    "examinees": Examinee, "preferences": Preference, "drafts": Drafts, "icls": Icl,
    "alignments": Alignment, "tailored": Tailored, "exams": Exam,
}  # fmt: skip
OPTIONAL = (  # plural sections that may be left out
    "trims", "dataset_files", "harnesses", "response_probes", "judge_signals", "losses",
    "uncertainties", "mistake_sets", "selections", "joins", "tasks", "examinees", "preferences",
    "drafts", "icls", "alignments", "tailored", "exams",
)  # fmt: skip
#: Keys of rows that are no reference but settings of the section of this name, for the row alone.
CHANGES: Mapping[str, tuple[str, ...]] = {
    section: tuple(f.name for f in fields(cls) if f.default_factory is dict)
    for section, cls in ROWS.items()
}
