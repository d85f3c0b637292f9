"""The runs behind the stored reference trajectories: rows, settings, and what is recorded of them.

Every run goes through the function that its stage calls, on the tiny random Llama of
`tests.tiny_models` with seed 1, one CPU thread and the top-level seed 0.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import PAIRS, PROBE, ROWS, SCORES
from montessori.models.weights import load_model
from montessori.pipeline.parts import Shard
from montessori.signals.influence.score import score_probe
from montessori.signals.influence.settings import InfluenceParams
from montessori.signals.scoring import ScoringJob
from montessori.train import dpo, sft, warmup
from montessori.train.settings import StudentSftParams, TeacherDpoParams, WarmupParams
from tests.tiny_rows import probe_frame, row

#: Where influence keeps finished parts, below a world's folder.
WORK = "work"

WARMUP = WarmupParams(
    rows=48,
    epochs=2,
    batch=8,
    learning_rate=1e-3,
    warmup=0.25,
    max_grad_norm=1.0,
    max_length=128,
)
SFT = StudentSftParams(
    learning_rate=2e-3,
    epochs=2,
    batch=8,
    warmup=0.25,
    decay=0.5,
    min_learning_rate=0.01,
    max_length=128,
)
DPO = TeacherDpoParams(
    learning_rate=5e-4,
    beta=0.1,
    epochs=2,
    batch=4,
    warmup=0.25,
    decay=0.5,
    min_learning_rate=0.01,
    max_length=256,
)
INFLUENCE = InfluenceParams(
    learning_rate=1e-5,
    references=12,
    max_length=128,
    baseline="momentum",
    estimate="first-order",
    unit="row",
    precision="fp32",
    max_grad_norm=0.0,
    audit=0,
    audit_spearman=0.9,
    rows_per_part=6,
)


@dataclass
class Trajectory:
    """What a run did: whole numbers, and series of measured numbers by name.

    `counts` are the same on every machine. How a series is compared depends on its name alone; see
    `tests.references.stored`.
    """

    counts: dict[str, int] = field(default_factory=dict)
    series: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What every run starts from: the folders of a student and its data, and a place to write."""

    student: Path
    machine: Any
    folder: Path


# ---------------------------------------------------------------------------------------- rows
def dialogue_rows(count: int) -> pl.DataFrame:
    """A ROWS table of sums and spellings; every third row is a dialogue of two turns."""
    rows = []
    for i in range(count):
        made = row(i, "trajectory")
        if i % 3 == 0:
            made["messages"] += row(i + 1000)["messages"]
        rows.append(made)
    return pl.DataFrame(rows, schema=dict(ROWS))


def preference_pairs(count: int) -> pl.DataFrame:
    """A PAIRS table: of the two texts of a prompt, the one that asks for a sum is preferred."""
    probe = probe_frame(count, 2)
    pairs = []
    for i in range(count):
        spelled, summed = probe.row(2 * i + 1, named=True), probe.row(2 * i, named=True)
        pairs.append(
            {
                "pair_id": f"{i:016x}",
                "prompt_id": summed["prompt_id"],
                "prompt": summed["prompt"],
                "chosen": summed["raw"],
                "rejected": spelled["raw"],
                "chosen_row": summed["row_id"],
                "rejected_row": spelled["row_id"],
                "chosen_score": 1.0,
                "rejected_score": -1.0,
            }
        )
    return pl.DataFrame(pairs, schema=dict(PAIRS))


def write_rows(frame: pl.DataFrame, folder: Path, name: str, schema: Any) -> Path:
    """The table `frame` as artifact folder `folder`, in the file `name`; returns the folder."""
    with new_folder(folder, {}) as temporary:
        write_table(frame, temporary / name, schema)
    return folder


# ---------------------------------------------------------------------------------------- runs
def run_warmup(world: World, settings: WarmupParams = WARMUP) -> Trajectory:
    """The warm-up: its loss in each step, and the moments that influence starts from."""
    probe = write_rows(probe_frame(24, 3), world.folder / "probe", "rows.parquet", PROBE)
    out = world.folder / "warm"
    losses: list[float] = []
    train = warmup.train_rows

    def listening(*arguments: Any) -> Any:
        found, state = train(*arguments)
        losses.extend(found)
        return found, state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warmup, "train_rows", listening)
        metrics = warmup.warm_up(world.student, probe, out, settings, 0, world.machine)
    names = ("rows", "rows_left", "steps", "tokens", "tokens_trained", "parameters")
    moments = _tensors(out / "moments.safetensors")
    return Trajectory(
        counts={name: metrics[name] for name in names},
        series={
            "loss": losses,
            "distance": distances(world.student, out),
            "first_moment": _norms(moments, "exp_avg."),
            "second_moment": _norms(moments, "exp_avg_sq."),
        },
    )


def run_sft(world: World, settings: StudentSftParams = SFT) -> Trajectory:
    """SFT of the student: the curve that the stage plots, and how far the weights moved."""
    dataset = write_rows(dialogue_rows(45), world.folder / "dataset", "rows.parquet", ROWS)
    out = world.folder / "student"
    with recorded_curve(sft) as points:
        metrics = sft.train_student(
            world.student, dataset, out, world.folder / "c.csv", settings, 0, world.machine
        )
    names = ("rows", "rows_without_response", "steps", "tokens", "assistant_tokens")
    return Trajectory(
        counts={name: metrics[name] for name in names},
        series=columns(points) | {"distance": distances(world.student, out)},
    )


def run_dpo(world: World, settings: TeacherDpoParams = DPO) -> Trajectory:
    """DPO of a teacher: the curve that the stage plots, and how far the weights moved."""
    pairs = write_rows(preference_pairs(18), world.folder / "pairs", "pairs.parquet", PAIRS)
    out = world.folder / "teacher"
    with recorded_curve(dpo) as points:
        metrics = dpo.train_teacher(
            world.student, pairs, out, world.folder / "c.csv", settings, 0, world.machine
        )
    names = ("pairs", "steps", "tokens_trained", "tokens_forward")
    return Trajectory(
        counts={name: metrics[name] for name in names},
        series=columns(points) | {"distance": distances(world.student, out)},
    )


def run_influence(world: World) -> Trajectory:
    """Influence scores of the probe rows that warm-up did not see, in the three ways there are."""
    run_warmup(world)
    write_references(world)
    whole = score(world, INFLUENCE, "row") | score(world, replace(INFLUENCE, unit="group"), "group")
    whole |= score(world, replace(INFLUENCE, estimate="exact"), "exact")
    return Trajectory(counts={"rows": len(whole["row_all"])}, series=whole)


def write_references(world: World, order: slice = slice(None)) -> None:
    """Twelve reference rows of two skills in `reference`; `order` may turn them around."""
    rows = [row(300 + 7 * i, "reference") for i in range(12)][order]
    frame = pl.DataFrame(rows, schema=dict(ROWS))
    write_rows(frame, world.folder / "reference", "rows.parquet", ROWS)


def scoring_job(world: World, out: Path, shard: str = "1/1") -> ScoringJob:
    """The scoring of the probe in `world` by its warmed-up student."""
    folder = world.folder
    return ScoringJob(
        inputs={
            "warmup": folder / "warm",
            "probe": folder / "probe",
            "reference": folder / "reference",
        },
        out=out,
        work=folder / WORK,
        machine=world.machine,
        shard=Shard.parse(shard),
    )


def score(world: World, settings: InfluenceParams, label: str) -> dict[str, list[float]]:
    """Neutral scores and scores by reference of the warmed-up student in `world`, as series."""
    folder = world.folder
    job = scoring_job(world, folder / f"scores-{label}")
    score_probe(job, settings, folder / f"{label}.csv")
    scores = read_table(job.out / "scores.parquet", SCORES)
    series = {}
    for name in ("all", "strings", "sums"):
        of_skill = scores.filter(pl.col("reference") == name)
        series[f"{label}_neutral_{name}"] = of_skill["neutral"].to_list()[:1]
        series[f"{label}_{name}"] = of_skill["score"].to_list()
    return series


RUNS: dict[str, Callable[[World], Trajectory]] = {
    "warmup": run_warmup,
    "sft": run_sft,
    "dpo": run_dpo,
    "influence": run_influence,
}


# ------------------------------------------------------------------------------------ recording
@contextmanager
def recorded_curve(module: Any) -> Iterator[list[dict[str, float]]]:
    """The points that `module` writes as its curve, unrounded (the CSV has six digits)."""
    points: list[dict[str, float]] = []
    write = module.write_curve

    def listening(path: Path, found: Any, names: Any) -> None:
        points.extend(found)
        write(path, found, names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_curve", listening)
        yield points


def columns(points: list[dict[str, float]]) -> dict[str, list[float]]:
    """Points as one list for each of their names.

    Without the step's number, and without DPO's accuracy: in the first step the rewards are zero
    but for rounding, so whether they are above each other is chance.
    """
    names = [name for name in points[0] if name not in ("step", "reward_accuracy")]
    return {name: [point[name] for point in points] for name in names}


def distances(before: Path, after: Path) -> list[float]:
    """Euclidean distance that each parameter moved, in the order of the model's parameters."""
    first = dict(load_model(before).named_parameters())
    second = dict(load_model(after).named_parameters())
    return [
        torch.linalg.vector_norm((second[name] - first[name]).double()).item() for name in first
    ]


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _norms(tensors: dict[str, torch.Tensor], prefix: str) -> list[float]:
    """Euclidean norms of the tensors whose name starts with `prefix`, in order of their names."""
    chosen = [tensors[name] for name in sorted(tensors) if name.startswith(prefix)]
    return [torch.linalg.vector_norm(tensor.double()).item() for tensor in chosen]
