"""`montessori bench harness`: a public benchmark by our stage, and by lm-eval called directly."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from montessori.evals.public.lm_eval_tasks import task_index
from montessori.evals.public.run_task import run_task
from montessori.evals.public.settings import HarnessParams
from montessori.pipeline.machine import Machine
from montessori.sources.local_data import LocalData


@dataclass(frozen=True)
class Options:
    """What is measured: a task on a model, the first `limit` items of it (0: all)."""

    model: Path
    task: str
    shots: int
    data: Path
    limit: int
    batch: int
    rounds: int
    machine: Machine


def bench(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Seconds of both, and whether their scores are equal; lines for a person go to `say`.

    Each round runs both in this process, the first one changing, from loading the task and the
    model to the scores; ours also writes its table and outcomes. A round before them is not
    counted. `ratio` is the median of the rounds' ratios of processor time, `wall_ratio` of the
    clock: on a machine shared with other work the first counts. Raises MontessoriError as the
    stage does.
    """
    settings = HarnessParams(
        "transformers", str(options.data), options.limit, options.batch, chat_template=False
    )
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "direct": []}
    scores: dict[str, Any] = {}
    for turn in range(options.rounds + 1):
        for who in ("ours", "direct") if turn % 2 else ("direct", "ours"):
            clocks = time.perf_counter(), time.process_time()
            scores[who] = (_ours if who == "ours" else _direct)(options, settings)
            if turn:
                found[who].append(
                    (time.perf_counter() - clocks[0], time.process_time() - clocks[1])
                )
    figures = _figures(found) | {"equal": scores["ours"] == scores["direct"]}
    say(
        f"{options.task}: {figures['ours_seconds']:.1f} s, lm-eval {figures['direct_seconds']:.1f} "
        f"s; {figures['ratio']:.1%} of its processor time, {figures['wall_ratio']:.1%} of its "
        f"time by the clock; scores {'equal' if figures['equal'] else 'DIFFER'}"
    )
    return {"task": options.task, "limit": options.limit, "shots": options.shots, **figures}


def _figures(found: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    pairs = list(zip(found["ours"], found["direct"], strict=True))
    return {
        **{f"{who}_seconds": statistics.median(s[0] for s in found[who]) for who in found},
        "ratio": statistics.median(ours[1] / direct[1] for ours, direct in pairs),
        "wall_ratio": statistics.median(ours[0] / direct[0] for ours, direct in pairs),
    }


def _ours(options: Options, settings: HarnessParams) -> dict[str, float]:
    """The scores of our stage, by metric; like lm-eval it reads the index of tasks anew."""
    task_index.cache_clear()
    with TemporaryDirectory() as folder:
        out = Path(folder)
        metrics = run_task(
            options.model, options.task, options.shots, options.data, out / "samples",
            out / "outcomes.csv", settings, options.machine,
        )  # fmt: skip
    found = metrics["scores"][options.task]
    return {name: entry["value"] for name, entry in sorted(found.items())}


def _direct(options: Options, settings: HarnessParams) -> dict[str, float]:
    """The scores of lm-eval called as its users call it, on the same files."""
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
