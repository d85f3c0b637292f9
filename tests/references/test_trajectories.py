"""Stored trajectories of warm-up, SFT, DPO and influence, number by number.

What would break: a wrong learning rate, loss mask, order of rows, clipping or AdamW moment goes
unnoticed, because the loss still falls; a refactoring changes what is computed.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from montessori.models import chat
from montessori.signals.influence import score
from montessori.train import arguments, warmup
from tests.references import recipes, stored
from tests.references.recipes import Trajectory

pytestmark = pytest.mark.xdist_group("references")  # they share the canonical runs


@pytest.mark.parametrize("name", sorted(recipes.RUNS))
def test_a_run_follows_its_stored_trajectory(name, canonical):
    _, trajectory = canonical(name)
    problems = stored.deviations(trajectory, stored.read(name))
    assert not problems, "\n".join([f"{name} left its trajectory:", *problems])


# ------------------------------------------------------------- what the trajectories are there for
def a_flat_rate(patch):
    """SFT forgets that the rate rises and falls."""
    flat = {"learning_rate": recipes.SFT.learning_rate, "lr_scheduler_type": "constant"}
    patch.setattr(arguments, "schedule_arguments", lambda settings, steps: flat)


def a_mask_of_everything(patch):
    """The model is trained on the user's text, too."""
    patch.setattr(chat, "_loss_mask", lambda offsets, spans: [1] * len(offsets))


def a_mask_without_ends(patch):
    """The model is not trained to end its turn."""
    mask = chat._loss_mask

    def shorter(offsets, spans):
        return mask(offsets, [(start, end - len("<|end|>")) for start, end in spans])

    patch.setattr(chat, "_loss_mask", shorter)


def rows_in_file_order(patch):
    """Rows are no longer shuffled."""
    patch.setattr(warmup, "epoch_order", lambda lengths, *rest: list(range(len(lengths))))


def gradients_unclipped(patch):
    """Warm-up takes gradients of any size."""
    patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *arguments: None)


def a_forgotten_step_number(patch):
    """AdamW's bias correction starts anew in the probing step."""
    read = score.read_state
    patch.setattr(score, "read_state", lambda *inputs: replace(read(*inputs), step=0))


@pytest.mark.parametrize(
    ("name", "fault", "series"),
    [
        ("sft", a_flat_rate, "learning_rate"),
        ("sft", a_mask_of_everything, "loss"),
        ("sft", a_mask_without_ends, "loss"),
        ("warmup", rows_in_file_order, "loss"),
        ("warmup", gradients_unclipped, "second_moment"),
        ("influence", a_forgotten_step_number, "row_all"),
    ],
)
def test_a_fault_leaves_the_trajectory_on_every_machine(
    name, fault, series, tmp_path, student, machine, monkeypatch
):
    """By far more than the tolerance for other processors, which is the one taken here."""
    fault(monkeypatch)
    trajectory = recipes.RUNS[name](recipes.World(student, machine, tmp_path))
    problems = stored.deviations(trajectory, stored.read(name), {"processor": "another"})
    assert [problem for problem in problems if problem.startswith(f"{series}: number")]


# ------------------------------------------------------------------------- how files are compared
def test_every_stored_file_belongs_to_a_run():
    files = {path.stem for path in stored.FOLDER.glob("*.json")}
    assert files == set(recipes.RUNS)


TRAJECTORY = Trajectory({"steps": 2}, {"loss": [4.0, 2.0], "learning_rate": [0.1, 0.2]})
HERE = {"torch": "1", "processor": "this"}
THERE = {"torch": "1", "processor": "that"}


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The trajectory as it is stored on the machine HERE, read again."""
    monkeypatch.setattr(stored, "environment", lambda: HERE)
    stored.write("toy", TRAJECTORY, tmp_path)
    return stored.read("toy", tmp_path)


def test_a_file_holds_every_bit_of_a_number(content):
    third = replace(TRAJECTORY, series={"loss": [1 / 3, 2.0], "learning_rate": [0.1, 0.2]})
    assert stored.deviations(TRAJECTORY, content, HERE) == []
    content["series"]["loss"][0] = 1 / 3
    assert stored.deviations(third, content, HERE) == []


def test_where_it_was_recorded_the_last_bit_counts(content):
    content["series"]["loss"][1] = 2.0000000000000004
    (problem,) = stored.deviations(TRAJECTORY, content, HERE)
    assert problem.startswith("loss: number 2 of 2 is 2.0 instead of 2.0000000000000004")


def test_elsewhere_a_share_of_the_largest_number_is_allowed(content):
    """Largest loss 4, allowed 2e-5 of it: 8e-5."""
    content["series"]["loss"][1] = 2.0 + 7.9e-5
    assert stored.deviations(TRAJECTORY, content, THERE) == []
    content["series"]["loss"][1] = 2.0 + 8.1e-5
    problem, where = stored.deviations(TRAJECTORY, content, THERE)
    assert "off by 2.0e-05 of the largest number" in problem
    assert "'processor': 'that'" in where


def test_rates_and_counts_are_the_same_everywhere(content):
    content["series"]["learning_rate"][0] = 0.1 + 1e-9
    content["counts"]["steps"] = 3
    counts, rate, _ = stored.deviations(TRAJECTORY, content, THERE)
    assert counts == "counts: {'steps': 2} instead of {'steps': 3}"
    assert rate.startswith("learning_rate: number 1")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_no_match(content, wrong):
    broken = replace(TRAJECTORY, series={"loss": [4.0, wrong], "learning_rate": [0.1, 0.2]})
    assert "loss" in stored.deviations(broken, content, THERE)[0]


def test_another_length_and_another_series_are_named(content):
    shorter = replace(TRAJECTORY, series={"loss": [4.0], "learning_rate": [0.1, 0.2]})
    assert stored.deviations(shorter, content, HERE) == ["loss: 1 numbers instead of 2"]
    without = replace(TRAJECTORY, series={"loss": [4.0, 2.0]})
    assert "learning_rate" in stored.deviations(without, content, HERE)[0]
