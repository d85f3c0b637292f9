"""`montessori bench train`: what a step of SFT and of DPO costs on this machine.

The trainers are those of the stages, on random rows of one length, so that nothing is padded. Each
runs as many steps as its share of the time allows; the first pays for allocation and is left out.
"""

import gc
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from montessori.bench.measures import (
    device_clock,
    device_name,
    forget_peak,
    peak_memory,
    weight_bytes,
)
from montessori.bench.shapes import SHAPES, random_model
from montessori.bench.world import draw_rows, open_folder, time_row
from montessori.errors import MontessoriError
from montessori.models.adapters import AdapterParams, add_adapters
from montessori.train import arguments
from montessori.train.curve import Recorder
from montessori.train.device import choose_device
from montessori.train.loss import Row
from montessori.train.passes import rows_of_pass
from montessori.train.settings import StudentSftParams, TeacherDpoParams

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from montessori.pipeline.machine import Machine

RATE = 1e-6
SCHEDULE: dict[str, Any] = {"warmup": 0.0, "decay": 0.0, "min_learning_rate": 1.0}
#: Tokenizer of a shape, which has none: only the id that pads is taken from it.
TOKENIZER = Path("data/micro/llama")
KINDS = ("sft", "sft-lora", "dpo")
LEAST_STEPS, MOST_STEPS = 3, 30
#: Forward and backward passes of a row, in rows of SFT, for a row of SFT and for a pair of DPO:
#: two texts, each also read by the reference.
COST = {"sft": 1.0, "dpo": 3.0}


@dataclass(frozen=True)
class Options:
    """What is measured: `batch` rows a step of `tokens` tokens each; `rank` is that of adapters.

    `model` is a folder or a name of SHAPES; `minutes` are for all measurements together.
    """

    model: str
    batch: int
    tokens: int
    rank: int
    minutes: float
    only: tuple[str, ...]  # of KINDS; empty = all
    machine: "Machine"

    def check(self) -> None:
        """Raise MontessoriError for an unknown kind of training."""
        unknown = [name for name in self.only if name not in KINDS]
        if unknown:
            raise MontessoriError(
                f"--only {unknown[0]}: unknown",
                expected=" or ".join(KINDS),
                next="montessori bench train --help",
            )


class Clock(TrainerCallback):
    """The seconds of each optimizer step."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, list[float]()
        self._started = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Note the time."""
        self._started = device_clock(self.device)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Note the seconds since."""
        self.seconds.append(device_clock(self.device) - self._started)


def measure_training(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure steps of SFT, of SFT with adapters, and of DPO; `say` gets lines for the user.

    Raises MontessoriError for an unusable model, or an unknown kind.
    """
    options.check()
    device = choose_device(options.machine)
    figures: dict[str, Any] = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "batch": options.batch,
        "tokens_per_row": options.tokens,
    }
    names = [name for name in KINDS if not options.only or name in options.only]
    for name in names:
        kind, rank = name.removesuffix("-lora"), options.rank if name == "sft-lora" else 0
        model, tokenizer = _open_model(options.model, device)
        figures.setdefault("parameters", model.num_parameters())
        steps = _count_steps(model, kind, options, len(names))
        model = add_adapters(model, AdapterParams(rank=rank, alpha=float(rank or 1)), 0)
        found = _measure(kind, model, tokenizer, options, steps, device)
        figures[name] = found
        say(
            f"{name}: {found['seconds_per_step']:.3f} s a step of {options.batch} rows (median of "
            f"{found['steps']}), {found['tokens_per_second']:.0f} tokens/s, "
            f"{found['peak_memory_mib']:.0f} MiB = {found['peak_memory_of_weights']:.1f} times the "
            "weights"
        )
        del model
        gc.collect()
    return figures


def _open_model(
    name: str, device: torch.device
) -> tuple["PreTrainedModel", "PreTrainedTokenizerFast"]:
    """A model of its own for each measurement, in fp32, as the stages train it."""
    from montessori.models import chat

    if name in SHAPES:
        return random_model(name, device, torch.float32), chat.load_tokenizer(TOKENIZER)
    return open_folder(name, device, "train")


def _count_steps(model: "PreTrainedModel", kind: str, options: Options, plans: int) -> int:
    """The steps that fit the time, from the time of one row."""
    seconds = time_row(model, options.tokens) * options.batch * COST[kind]
    share = 60 * options.minutes / plans
    return min(max(int(share / seconds), LEAST_STEPS), MOST_STEPS)


def _measure(
    kind: str,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    options: Options,
    steps: int,
    device: torch.device,
) -> dict[str, Any]:
    """Train for some steps by the stage's own trainer; returns what a step costs."""
    clock = Clock(device)
    forget_peak(device)
    with tempfile.TemporaryDirectory() as work:
        make = _make_sft if kind == "sft" else _make_dpo
        trainer = make(model, tokenizer, options, steps, device, work)
        trainer.add_callback(clock)
        trainer.train()
    seconds = statistics.median(clock.seconds[1:])
    # A pair has two texts.
    tokens = options.batch * options.tokens * (1 if kind == "sft" else 2)
    peak = peak_memory(device)
    return {
        "steps": len(clock.seconds) - 1,
        "seconds_per_step": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_memory_mib": peak,
        "peak_memory_of_weights": peak * 2**20 / weight_bytes(model),
    }


def _make_sft(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    options: Options,
    steps: int,
    device: torch.device,
    work: str,
) -> Any:
    from montessori.train.sft import make_trainer

    rows = _draw(model, options, steps)
    settings = StudentSftParams(
        learning_rate=RATE, epochs=1, batch=options.batch, max_length=options.tokens, **SCHEDULE
    )
    together = rows_of_pass(options.batch, options.tokens, model, options.machine)
    settled = arguments.common_arguments(
        settings, len(rows), 0, options.machine, device, work, together
    )
    recorder = Recorder("sft", {"loss": "loss"}, "student_sft.learning_rate")
    return make_trainer(model, tokenizer, rows, settled, recorder)


def _make_dpo(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    options: Options,
    steps: int,
    device: torch.device,
    work: str,
) -> Any:
    from montessori.train.dpo import make_trainer

    rows = _draw(model, options, steps)
    settings = TeacherDpoParams(
        learning_rate=RATE,
        beta=0.1,
        epochs=1,
        batch=options.batch,
        max_length=options.tokens,
        **SCHEDULE,
    )
    together = rows_of_pass(options.batch, 2 * options.tokens, model, options.machine)
    settled = arguments.common_arguments(
        settings, len(rows), 0, options.machine, device, work, together
    )
    prompt = options.tokens // 2
    data = {
        "prompt_ids": [row.ids[:prompt] for row in rows],
        "chosen_ids": [row.ids[prompt:] for row in rows],
        "rejected_ids": [row.ids[prompt:][::-1] for row in rows],
    }
    recorder = Recorder("dpo", {"loss": "loss"}, "teacher_dpo.learning_rate")
    return make_trainer(model, tokenizer, data, settled, settings.beta, recorder)


def _draw(model: "PreTrainedModel", options: Options, steps: int) -> list[Row]:
    """Rows for the steps, and for one more, which is not counted."""
    count = options.batch * (steps + 1)
    return draw_rows(count, options.tokens, int(model.config.vocab_size), 1)
