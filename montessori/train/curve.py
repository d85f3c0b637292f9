"""Curves of training as CSV, and the callback that records them and stops on a broken loss."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from montessori.artifacts.atomic import write_text
from montessori.errors import MontessoriError
from montessori.progress import track_progress

#: Points of a curve, at most about this many.
POINTS = 200


def log_every(steps: int) -> int:
    """Optimizer steps between points of a curve of `steps` steps."""
    return max(1, round(steps / POINTS))


def write_curve(path: Path, points: Sequence[Mapping[str, float]], columns: Sequence[str]) -> None:
    """Write points as CSV with `columns`, six significant digits, atomically."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for point in points:
        writer.writerow([f"{point[column]:.6g}" for column in columns])
    write_text(path, text.getvalue())


def require_finite(loss: float, step: int, key: str) -> None:
    """Raise MontessoriError for a loss that is NaN or infinite; `key` is the rate to lower."""
    if not math.isfinite(loss):
        raise MontessoriError(
            f"the training loss is {loss} at step {step}",
            where=f"params.yaml, key {key}",
            expected="a finite loss",
            next=f"lower {key}, then run `dvc repro`",
        )


class Recorder(TrainerCallback):
    """Collects what the trainer logs as points of a curve, and shows progress.

    `names` maps names of a point to names of the trainer's log. Raises MontessoriError from
    training when the loss is not finite.
    """

    def __init__(self, label: str, names: Mapping[str, str], key: str) -> None:
        self.label, self.names, self.key = label, dict(names), key
        self.points: list[dict[str, float]] = []
        self._progress: Any = None
        self._shown = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Open the progress line."""
        self._progress = track_progress(state.max_steps, "steps", self.label)
        self._shown = 0

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **rest: Any
    ) -> None:
        """Record a point; the log at the end of training is none."""
        if "loss" not in logs:
            return
        require_finite(logs["loss"], state.global_step, self.key)
        point = {name: float(logs[source]) for name, source in self.names.items()}
        self.points.append({"step": state.global_step, **point})
        self._progress.advance(state.global_step - self._shown, loss=logs["loss"])
        self._shown = state.global_step

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Close the progress line."""
        self._progress.close()
