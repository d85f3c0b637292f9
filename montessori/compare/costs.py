"""The cost of a run: the sum over all stages that it needs, from their metrics.

FLOPs are 6 N for a token that is trained on (forward and backward pass) and 2 N for one that is
only read or written, where N is the model's number of parameters (arXiv 2001.08361, section 2.1).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.load import join_problems
from montessori.graph.references import Rows, Step, find_needs
from montessori.graph.stages import Graph, Stage

#: Prefixes of unmeasured times. Reports list them as missing and still show the other costs.
SECONDS, GPU_SECONDS = "seconds of ", "GPU-seconds of "
FREE = ("models",)  # stages that do not count as cost of a method
WRITES = ("probe", "response-probe", "synth", "draft", "tailor")  # stages in which a teacher writes
TRAINS_TEACHER = ("teacher-dpo", "align-dpo")
#: Stages in which a student trains, reads or writes.
STUDENT = (
    "warmup",
    "influence",
    "student-sft",
    "student-signal",
    "mistakes",
    "icl",
    "examinee",
)


@dataclass(frozen=True)
class Cost:
    """The cost of one stage or of several.

    teacher_tokens: tokens that teachers wrote, dropped samples included. student_flops,
    teacher_flops: of training and of forward passes; a teacher's generation does not count.
    judge_tokens: tokens that judge models wrote for signals. usd: paid to servers. seconds: on
    this machine. gpu_seconds: seconds of each start times its devices, 0 on a CPU. unknown: names
    of the missing figures.
    """

    teacher_tokens: int = 0
    student_flops: float = 0.0
    teacher_flops: float = 0.0
    judge_calls: int = 0
    judge_tokens: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    unknown: tuple[str, ...] = ()

    def __add__(self, other: "Cost") -> "Cost":
        names = [each.name for each in fields(self)]
        return Cost(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True)
class Budget:
    """The cost of a run, the rows its student was trained on, and the stages of rows it needs."""

    cost: Cost
    rows: int | None
    needs: tuple[Step, ...] = field(repr=False)


def compute_budgets(rows: Rows, graph: Graph, metrics: Path) -> dict[str, Budget]:
    """The budget of each run, by name. A stage that several runs share counts in each of them.

    A run costs every stage that its model needs, directly or not. What a stage costs is in its
    metrics; a stage whose metrics are not there is unknown, and never free.
    """
    needs = find_needs(rows, graph)
    for step, examinees in _examinees_of(rows):
        needs[step] |= examinees
    stages = {stage.kind: stage for stage in graph.stages}
    budgets = {}
    for name, run in rows["runs"].items():
        steps = follow_needs(_makers_of(run.model, rows, graph), needs)
        costs = (_cost_of(stages[kind], row, metrics) for kind, row in steps)
        trained_rows = _count_trained_rows(run.model, rows, metrics)
        budgets[name] = Budget(sum(costs, Cost()), trained_rows, steps)
    if not budgets:
        raise MontessoriError("params.yaml has no runs", next="add one to section runs")
    return budgets


def baseline_of(raw: Mapping[str, Any]) -> str:
    """The run `compare.baseline` of params.yaml; "" where it names none.

    Raises MontessoriError where the section is not a mapping, such as an empty one.
    """
    compare = raw.get("compare", {})
    if not isinstance(compare, Mapping):
        raise join_problems([f"compare: {compare!r} is not a mapping of keys to values"])
    return str(compare.get("baseline") or "")


def _makers_of(model: str, rows: Rows, graph: Graph) -> set[Step]:
    """The stage that makes a model, such as that of students/NAME."""
    folder, _, name = model.partition("/")
    makers = set()
    for stage in graph.writers_of(folder):
        if name in rows[stage.section or ""]:
            makers.add((stage.kind, name))
    return makers


def _examinees_of(rows: Rows) -> Iterator[tuple[Step, set[Step]]]:
    """Each preference set and the examinees that took its tasks.

    The set needs their answers, although no key of its row names them.
    """
    for name, row in rows["preferences"].items():
        examinees = set()
        for other, examinee in rows["examinees"].items():
            if examinee.tasks == row.tasks:
                examinees.add(("examinee", other))
        yield ("preference", name), examinees


def follow_needs(start: set[Step], needs: Mapping[Step, set[Step]]) -> tuple[Step, ...]:
    """The given stages and all that they need, directly or not, each once, in a fixed order."""
    seen = set(start)
    waiting = list(start)
    while waiting:
        new = needs.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return tuple(sorted(seen))


def _cost_of(stage: Stage, name: str, metrics: Path) -> Cost:
    """The cost of a stage for one row, from its metrics and its runtime record."""
    if stage.kind in FREE:
        return Cost()
    # Every stage has a runtime record; not every stage has metrics.
    what = f"{stage.kind} {name}"
    cost = _runtime_cost(_read_if_there(metrics / "runtime" / stage.code / f"{name}.json"), what)
    if stage.metrics is None:
        return cost
    values = _read_if_there(metrics / stage.metrics / f"{name}.json")
    if values is None:
        return cost + Cost(unknown=(what,))
    trains_teacher = stage.kind in TRAINS_TEACHER
    return cost + Cost(
        teacher_tokens=int(values.get("tokens") or 0) if stage.kind in WRITES else 0,
        judge_calls=int(values.get("judge_calls", 0)),
        judge_tokens=int(values.get("judge_tokens", 0)),
        usd=float(values.get("server", {}).get("usd", 0.0)),
        unknown=tuple(_missing_figures(stage.kind, values, name)),
        **{"teacher_flops" if trains_teacher else "student_flops": count_flops(values)},
    )


def _runtime_cost(runtime: Mapping[str, Any] | None, what: str) -> Cost:
    """Seconds and GPU-seconds of a stage by its runtime record; older records lack the latter."""
    if not runtime:
        return Cost(unknown=(f"{SECONDS}{what}",))
    seconds = float(runtime.get("seconds", 0.0))
    if "device_seconds" not in runtime:
        return Cost(seconds=seconds, unknown=(f"{GPU_SECONDS}{what}",))
    return Cost(seconds=seconds, gpu_seconds=float(runtime["device_seconds"]))


def count_flops(values: Mapping[str, Any]) -> float:
    """FLOPs of a stage by its metrics: N (6 tokens_trained + 2 tokens_forward)."""
    work = 6 * values.get("tokens_trained", 0) + 2 * values.get("tokens_forward", 0)
    return float(values.get("parameters", 0)) * work


def _missing_figures(stage: str, values: Mapping[str, Any], name: str) -> Iterator[str]:
    """Figures that are expected of a stage and that its metrics do not tell.

    Metrics of an older version lack some; tokens are null where a server does not count them.
    """
    if stage in WRITES and values.get("tokens") is None:
        yield f"teacher tokens of {stage} {name}"
    if stage in (*STUDENT, *TRAINS_TEACHER) and "parameters" not in values:
        yield f"FLOPs of {stage} {name}"


def _count_trained_rows(model: str, rows: Rows, metrics: Path) -> int | None:
    """Rows that a student was trained on; None for a model that no student stage made."""
    folder, _, name = model.partition("/")
    if folder != "students" or name not in rows["students"]:
        return None
    values = _read_if_there(metrics / "student-sft" / f"{name}.json") or {}
    return values.get("rows")


def _read_if_there(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    values = read_json(path)
    if not isinstance(values, dict):
        raise MontessoriError(
            "a record of a stage is not a JSON object",
            where=str(path),
            expected="what the stage wrote",
            next=f"git checkout {path}, or dvc repro",
        )
    return values
