"""Curves of training: how many points, what is recorded, and what stops a training.

What would break: a training with a broken loss runs to its end, or the plotted curve holds other
numbers than the trainer logged.
"""

from types import SimpleNamespace

import pytest

from montessori.errors import MontessoriError
from montessori.train import curve
from montessori.train.curve import Recorder, log_every, require_finite, write_curve

NAMES = {"loss": "loss", "margin": "rewards/margins"}


@pytest.fixture
def progress(monkeypatch: pytest.MonkeyPatch) -> list:
    """What the progress line was told."""
    told = []
    line = SimpleNamespace(
        advance=lambda steps, **shown: told.append((steps, shown)), close=lambda: told.append("end")
    )
    monkeypatch.setattr(curve, "track_progress", lambda total, unit, label: line)
    return told


def train(recorder: Recorder, logs: list[tuple[int, dict]]) -> None:
    """Run the callback as a trainer does, with its logs at some steps."""
    recorder.on_train_begin(None, SimpleNamespace(max_steps=9), None)
    for step, values in logs:
        recorder.on_log(None, SimpleNamespace(global_step=step), None, values)
    recorder.on_train_end(None, None, None)


@pytest.mark.parametrize(
    ("steps", "every"), [(1, 1), (200, 1), (299, 1), (301, 2), (10_000, 50), (0, 1)]
)
def test_a_curve_has_about_two_hundred_points(steps, every):
    assert log_every(steps) == every


def test_a_point_holds_what_the_trainer_logged_under_our_names(progress):
    recorder = Recorder("dpo", NAMES, "teacher_dpo.learning_rate")
    train(
        recorder,
        [
            (2, {"loss": 0.7, "rewards/margins": 0.1, "epoch": 0.5}),
            (4, {"loss": 0.5, "rewards/margins": 0.3}),
            (4, {"train_runtime": 3.0}),  # the trainer's summary is no point
        ],
    )
    assert recorder.points == [
        {"step": 2, "loss": 0.7, "margin": 0.1},
        {"step": 4, "loss": 0.5, "margin": 0.3},
    ]
    assert progress == [(2, {"loss": 0.7}), (2, {"loss": 0.5}), "end"]


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_stops_the_training_at_its_step(progress, loss):
    recorder = Recorder("sft", NAMES, "student_sft.learning_rate")
    with pytest.raises(MontessoriError, match=r"at step 3") as error:
        train(recorder, [(3, {"loss": loss, "rewards/margins": 0.0})])
    assert error.value.where == "params.yaml, key student_sft.learning_rate"
    assert error.value.next == "lower student_sft.learning_rate, then run `dvc repro`"
    assert recorder.points == []


def test_a_large_loss_is_a_number():
    require_finite(1e30, 1, "warmup.learning_rate")


def test_a_curve_is_written_with_six_digits_in_the_order_of_its_columns(tmp_path):
    points = [
        {"step": 1, "loss": 2.0 / 3.0, "learning_rate": 1e-6, "more": 5.0},
        {"step": 2, "loss": 12345678.9, "learning_rate": 0.0, "more": 5.0},
    ]
    path = tmp_path / "plots" / "sft" / "a.csv"
    write_curve(path, points, ("step", "learning_rate", "loss"))
    assert path.read_text() == "step,learning_rate,loss\n1,1e-06,0.666667\n2,0,1.23457e+07\n"
    assert [each.name for each in path.parent.iterdir()] == ["a.csv"]


def test_a_curve_without_points_is_its_head(tmp_path):
    write_curve(tmp_path / "a.csv", [], ("step", "loss"))
    assert (tmp_path / "a.csv").read_text() == "step,loss\n"
