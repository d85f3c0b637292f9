"""`montessori bench harness`: a public benchmark by our stage, and by lm-eval called directly."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from montessori.evals.public.lm_eval_tasks import task_index
from montessori.evals.public.run_task import PublicTask, run_task
from montessori.evals.public.settings import HarnessParams
from montessori.pipeline.machine import Machine
from montessori.sources.local_data import LocalData


@dataclass(frozen=True)
class Options:
    """What is measured: a task on a model, its first `limit` items (0: all)."""

    model: Path
    task: str
    shots: int
    data: Path
    limit: int
    batch: int
    rounds: int
    machine: Machine


def measure_harness(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Time our stage and lm-eval, and compare their scores; `say` gets a line for the user.

    Each round runs both in this process, in alternating order, from loading task and model to the
    scores; ours also writes its table and outcomes. A first round is not counted. `ratio` is the
    median over rounds of the ratio of processor times, `wall_ratio` of the times by the clock: on a
    shared machine only the first is reliable. Raises MontessoriError as the stage does.
    """
    settings = HarnessParams(
        "transformers", str(options.data), options.limit, options.batch, chat_template=False
    )
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "direct": []}
    scores: dict[str, Any] = {}
    for turn in range(options.rounds + 1):
        for who in ("ours", "direct") if turn % 2 else ("direct", "ours"):
            clocks = time.perf_counter(), time.process_time()
            scores[who] = (_run_ours if who == "ours" else _run_lm_eval)(options, settings)
            if turn:
                wall, cpu = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
                times[who].append((wall, cpu))
    figures = _time_figures(times) | {"equal": scores["ours"] == scores["direct"]}
    say(
        f"{options.task}: {figures['ours_seconds']:.1f} s, lm-eval {figures['direct_seconds']:.1f} "
        f"s; {figures['ratio']:.1%} of its processor time, {figures['wall_ratio']:.1%} of its "
        f"time by the clock; scores {'equal' if figures['equal'] else 'DIFFER'}"
    )
    return {"task": options.task, "limit": options.limit, "shots": options.shots, **figures}


def _time_figures(times: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Medians over rounds; `times` has (by the clock, by the processor) of each round."""
    pairs = list(zip(times["ours"], times["direct"], strict=True))
    return {
        **{f"{who}_seconds": statistics.median(wall for wall, _ in times[who]) for who in times},
        "ratio": statistics.median(ours[1] / direct[1] for ours, direct in pairs),
        "wall_ratio": statistics.median(ours[0] / direct[0] for ours, direct in pairs),
    }


def _run_ours(options: Options, settings: HarnessParams) -> dict[str, float]:
    """The scores of our stage by metric; it reads the index of tasks again, as lm-eval does."""
    task_index.cache_clear()
    with TemporaryDirectory() as folder:
        out = Path(folder)
        metrics = run_task(
            options.model,
            PublicTask(options.task, options.shots, options.data),
            out / "samples",
            out / "outcomes.csv",
            settings,
            options.machine,
        )
    scores = metrics["scores"][options.task]
    return {name: entry["value"] for name, entry in sorted(scores.items())}


def _run_lm_eval(options: Options, settings: HarnessParams) -> dict[str, float]:
    """The scores of lm-eval called as its users do, on the same files."""
    import torch
    from lm_eval.evaluator import simple_evaluate

    cuda = options.machine.device == "cuda"
    cuda = cuda or (options.machine.device == "auto" and torch.cuda.is_available())
    dtype = "bfloat16" if cuda else "float32"
    with LocalData(options.data).serving():
        results = simple_evaluate(
            model="hf",
            model_args=f"pretrained={options.model},dtype={dtype}",
            tasks=[options.task],
            num_fewshot=options.shots if options.shots >= 0 else None,
            batch_size=settings.batch,
            device="cuda" if cuda else "cpu",
            limit=options.limit or None,
            bootstrap_iters=1000,
        )
    scores: dict[str, float] = {}
    for key, value in sorted(results["results"][options.task].items()):
        metric, comma, kind = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            scores[metric if kind == "none" else f"{metric} ({kind})"] = float(value)
    return scores
