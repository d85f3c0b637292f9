"""`montessori bench influence`: what influence costs on this machine, and how exact it is."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from montessori.bench.measures import (
    device_clock,
    device_name,
    forget_peak,
    peak_memory,
    weight_bytes,
)
from montessori.bench.published import Published
from montessori.bench.world import (
    DTYPES,
    LEAST_REPEATS,
    RATE,
    REPEATS,
    Options,
    World,
    world_of,
)
from montessori.signals.influence.audit import compare_estimates
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.signals.influence.per_row import Consumer
from montessori.signals.influence.row_gradient import RowGradient
from montessori.train.adamw import AdamWState
from montessori.train.loss import Row, batch_by_length, sum_mean_losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def measure_influence(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the estimate and its rivals; `say` gets lines for the user. Returns the figures.

    Raises MontessoriError for unusable options, rows or models.
    """
    options.check()
    until = time.monotonic() + 60 * options.sizes.minutes
    world = world_of(options, say)
    figures = _describe_world(world) | {
        "precision": options.compute.precision,
        "compiled": options.compute.compiled,
    }
    dtype = DTYPES[options.compute.precision]
    estimates, measured = _measure_estimate(world, dtype, options, say, until)
    figures |= measured
    if "oracle" in options.against:
        figures |= _against_oracle(world, estimates, options, say)
    if "published" in options.against:
        figures |= _against_published(world, figures["seconds_per_probe"], options, say)
    return figures


def _describe_world(world: World) -> dict[str, Any]:
    return {
        "device": device_name(world.model.device),
        "threads": torch.get_num_threads(),
        "parameters": sum(value.numel() for value in world.model.parameters()),
        "probes": len(world.probes),
        "references": len(world.references),
        "tokens_per_probe": sum(len(row.ids) for row in world.probes) / len(world.probes),
    }


# -------------------------------------------------------------------------------------- measured
def _measure_estimate(
    world: World, dtype: torch.dtype, options: Options, say: Callable[[str], None], until: float
) -> tuple[list[float], dict[str, Any]]:
    """Estimate the influence of the probes, centred; returns estimates and figures."""
    model = _model_in(world.model, dtype)
    state = _state_in(world.state, dtype)
    group = [list(range(len(world.references)))]
    forget_peak(model.device)
    started = _model_clock(model)
    gradients = reference_gradients(model, world.references, group, world.pad)
    engine = FirstOrder(
        model,
        state,
        RATE,
        gradients,
        world.pad,
        batch=options.compute.batch,
        compiled=options.compute.compiled,
    )
    setup = _model_clock(model) - started
    engine.score_rows(world.probes[: engine.batch])  # the first batch pays for allocation
    if engine.alone:
        say(f"each probe has a backward pass of its own: {engine.alone}")
    until = until if not options.sizes.rows else math.inf
    centred, turns, peak = _take_turns(engine, world.probes, world.pad, until)
    seconds, floor = (statistics.median(column) for column in zip(*turns, strict=True))
    of_floor = statistics.median(bare / ours for ours, bare in turns)
    tokens = sum(len(row.ids) for row in world.probes)
    passes = len(list(batch_by_length(world.probes, engine.batch, engine.tokens)))
    # Per parameter and token: 2 operations in the forward pass and 4 in the backward pass.
    flops = 6 * _count_multiplied(model) * tokens / seconds
    rate = matrix_rate(model.device, dtype)
    figures = {
        "setup_seconds": setup,
        "rows_per_backward": len(world.probes) / passes,
        "turns": len(turns),
        "seconds_per_probe": seconds / len(world.probes),
        "probes_per_second": len(world.probes) / seconds,
        "tokens_per_second": tokens / seconds,
        "floor_seconds_per_probe": floor / len(world.probes),
        "of_floor": of_floor,
        "parts": _time_parts(engine, world),
        "flops_per_second": flops,
        "matrix_flops_per_second": rate,
        "of_matrix_rate": flops / rate,
        "peak_memory_mib": peak,
        "peak_memory_of_weights": peak * 2**20 / weight_bytes(model),
    }
    _say_speed(figures, options.compute.precision, say)
    return centred[:, 0].tolist(), figures


def _say_speed(figures: dict[str, Any], precision: str, say: Callable[[str], None]) -> None:
    parts = figures["parts"]
    say(
        f"estimate ({precision}): {figures['probes_per_second']:.1f} probes/s, "
        f"{figures['tokens_per_second']:.0f} tokens/s, {figures['of_floor']:.2f} times a bare "
        f"forward and backward pass a row, {figures['of_matrix_rate']:.0%} of the matrix rate of "
        f"{figures['matrix_flops_per_second'] / 1e9:.0f} GFLOP/s, "
        f"{figures['peak_memory_mib']:.0f} MiB = "
        f"{figures['peak_memory_of_weights']:.1f} times the weights; "
        f"reference gradients once, {figures['setup_seconds']:.1f} s"
    )
    say(
        "a probe by parts: passes {passes:.3f} s, gradients of its row {gradients:.3f} s, step and "
        "products {products:.3f} s".format(**parts)
    )


def _take_turns(
    engine: FirstOrder, probes: list[Row], pad: int, until: float
) -> tuple[torch.Tensor, list[tuple[float, float]], float]:
    """Scores of the probes, seconds of both works in each turn, and the peak of memory in MiB.

    A turn is the estimate and then bare passes, so that a busy moment hits both. There are REPEATS,
    or LEAST_REPEATS where the clock would pass `until` before the parts are timed too.
    """
    model, turns, peak = engine.model, list[tuple[float, float]](), 0.0
    while len(turns) < REPEATS:
        began = time.monotonic()
        centred, ours = _time_work(model, lambda: engine.score_rows(probes))
        peak = max(peak, peak_memory(model.device))
        bare = _time_work(model, lambda: _run_bare_passes(model, probes, pad))[1]
        turns.append((ours, bare))
        forget_peak(model.device)
        now = time.monotonic()
        # The parts take three estimates, about as long as a turn and a half.
        if len(turns) >= LEAST_REPEATS and now + 2.5 * (now - began) > until:
            break
    return centred, turns, peak


def _time_parts(engine: FirstOrder, world: World) -> dict[str, float]:
    """Seconds a probe for the passes, for the rows' gradients in tiles, and for all the rest."""
    rows, reduction = world.probes, engine.reduction
    whole = _time_work(engine.model, lambda: engine.score_rows(rows))[1]

    def make_tiles(name: str, gradient: RowGradient) -> None:
        for start, stop in reduction.cut_tiles(name):
            gradient.make_tile(start, stop)

    def time_with(consume: Consumer) -> float:
        reduction.add = consume  # type: ignore[method-assign, assignment]
        try:
            return _time_work(engine.model, lambda: engine.score_rows(rows))[1]
        finally:
            del reduction.add

    passes, tiles = time_with(lambda name, gradient: None), time_with(make_tiles)
    return {
        "passes": passes / len(rows),
        "gradients": (tiles - passes) / len(rows),
        "products": (whole - tiles) / len(rows),
    }


def _against_oracle(
    world: World, estimates: Sequence[float], options: Options, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare the estimates with the exact fp32 step: rank correlation and signs."""
    count = min(options.sizes.audit_rows or len(world.probes), len(world.probes))
    group = [list(range(len(world.references)))]
    exact = ExactStep(world.model, world.state, RATE, world.references, group, world.pad)
    falls, seconds = _time_work(world.model, lambda: exact.score_rows(world.probes[:count]))
    audit = compare_estimates(estimates[:count], falls[:, 0].tolist())
    say(
        f"oracle (fp32, {count} probes): Spearman {audit.spearman:.4f}, equal signs "
        f"{audit.sign_agreement:.1%}, {seconds / count:.2f} s a probe"
    )
    return {
        "spearman": audit.spearman,
        "sign_agreement": audit.sign_agreement,
        "max_deviation": audit.max_deviation,
        "oracle_probes": count,
        "oracle_seconds_per_probe": seconds / count,
    }


def _against_published(
    world: World, ours: float, options: Options, say: Callable[[str], None]
) -> dict[str, Any]:
    """Time the published procedure in both number formats; the faster one is compared."""
    rows = world.probes[: options.sizes.published_rows]
    measured = {}
    for name, dtype in DTYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            model = _model_in(world.model, dtype, copy=True)
            slow = Published(
                model,
                _state_in(world.state, dtype),
                RATE,
                world.references,
                world.pad,
                Path(folder),
            )
            measured[name] = slow.measure_rows(rows)
    best = min(measured, key=lambda name: measured[name].seconds)
    parts, count = measured[best], len(rows)
    seconds = parts.seconds / count
    say(
        f"published procedure ({best}, {count} probes): {seconds:.2f} s a probe = load "
        f"{parts.load / count:.2f} + step {parts.step / count:.2f} + reference "
        f"{parts.reference / count:.2f}; the estimate is {seconds / ours:.0f} times faster"
    )
    return {
        "ratio": seconds / ours,
        "published_precision": best,
        "published_probes": count,
        "published_seconds_per_probe": seconds,
        "published_parts": {
            "load": parts.load / count,
            "step": parts.step / count,
            "reference": parts.reference / count,
        },
        "published_seconds_by_precision": {k: v.seconds / count for k, v in measured.items()},
    }


def _run_bare_passes(model: "PreTrainedModel", rows: Sequence[Row], pad: int) -> None:
    """Run a forward and a backward pass of each row: the least that a row-by-row method costs."""
    for row in rows:
        sum_mean_losses(model, [row], pad).backward()
        model.zero_grad(set_to_none=True)


def matrix_rate(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Measure FLOP/s of square matrix products on this machine, the best of sizes 1024 to 8192."""
    best = 0.0
    for size in (1024, 2048) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        a @ b
        count, started = 0, device_clock(device)
        while device_clock(device) - started < seconds / 2:
            a @ b
            count += 1
        best = max(best, count * 2 * size**3 / (device_clock(device) - started))
    return best


def _count_multiplied(model: "PreTrainedModel") -> int:
    """Count the parameters in matrix products: all but an untied input embedding."""
    total = sum(value.numel() for value in model.parameters())
    tied = getattr(model.config, "tie_word_embeddings", False)
    return total - (0 if tied else model.get_input_embeddings().weight.numel())


def _model_in(
    model: "PreTrainedModel", dtype: torch.dtype, copy: bool = False
) -> "PreTrainedModel":
    """Convert the model to a number format; the same object if it already has it."""
    from copy import deepcopy

    return deepcopy(model).to(dtype) if copy or model.dtype != dtype else model


def _state_in(state: AdamWState, dtype: torch.dtype) -> AdamWState:
    return replace(
        state,
        exp_avg={name: value.to(dtype) for name, value in state.exp_avg.items()},
        exp_avg_sq={name: value.to(dtype) for name, value in state.exp_avg_sq.items()},
    )


def _time_work(model: "PreTrainedModel", work: Callable[[], Any]) -> tuple[Any, float]:
    """Run `work`; returns its result and its seconds."""
    started = _model_clock(model)
    result = work()
    return result, _model_clock(model) - started


def _model_clock(model: "PreTrainedModel") -> float:
    return device_clock(model.device)
