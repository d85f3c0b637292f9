"""The stage harness: one model on one lm-eval task; scores with standard errors, every answer."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.files import file_digest, make_table, new_folder, write_table
from montessori.artifacts.schemas import SAMPLES
from montessori.errors import MontessoriError
from montessori.evals.public.lm_eval_model import open_model
from montessori.evals.public.lm_eval_tasks import load_task
from montessori.evals.public.settings import HarnessParams
from montessori.evals.public.task_outcomes import write_task_outcomes
from montessori.models.chat import folder_template, text_hash
from montessori.pipeline.machine import Machine
from montessori.sources.local_data import LocalData

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.vllm_causallms import VLLM

RESAMPLES = 1000  # lm-eval's bootstrap, for the metrics that are no mean


@dataclass(frozen=True)
class PublicTask:
    """An lm-eval task: its name, the examples before each question, the folder of its data set.

    shots: -1 for the task's own number of examples.
    """

    name: str
    shots: int
    data: Path


def run_task(
    model: Path,
    task: PublicTask,
    out: Path,
    outcomes: Path,
    settings: HarnessParams,
    machine: Machine,
) -> dict[str, Any]:
    """Run an lm-eval task on the model in folder `model`; write `out`/samples.parquet.

    The scores of each item also go to the CSV file `outcomes`, for comparing runs. Returns the
    metrics: per task and metric its value and standard error (as lm-eval computes both), numbers
    of items and of prompts beyond the model's context (lm-eval cuts their beginning), versions,
    the digest of the data. Raises MontessoriError for an unknown task or missing data, before the
    model is loaded, and for a model that cannot take the task.
    """
    data = LocalData(task.data)
    loaded = load_task(task.name, task.shots, data)
    opened = open_model(model, settings, machine)
    results = _run_lm_eval(opened, loaded, settings)
    rows = []
    for name, samples in results["samples"].items():
        rows += [_sample_row(name, sample) for sample in samples]
    table = make_table(rows, SAMPLES)
    facts = {
        "task": task.name,
        "items": table["item"].n_unique(),
        "data": _data_digest(data),
        "engine": settings.engine,
        "template": text_hash(folder_template(model)) if settings.chat_template else None,
    }
    with new_folder(out, {"model": model}, facts) as folder:
        write_table(table, folder / "samples.parquet", SAMPLES)
    write_task_outcomes(outcomes, table, task.name)
    truncated = _count_truncated(results, loaded["tasks"], opened)
    return _task_metrics(results, facts) | {"truncated": truncated}


def _run_lm_eval(model: "LM", loaded: dict[str, Any], settings: HarnessParams) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    results: dict[str, Any] | None = evaluate(
        model,
        loaded,
        limit=settings.limit or None,  # lm-eval takes None for all items
        bootstrap_iters=RESAMPLES,
        log_samples=True,
        apply_chat_template=settings.chat_template,
        fewshot_as_multiturn=settings.chat_template,
    )
    if not results or not any(results["samples"].values()):
        raise MontessoriError(
            "lm-eval returned no result",
            expected="a task with at least one item",
            next="raise harness.limit, or look at the task's data",
        )
    return results


def _sample_row(task: str, sample: Mapping[str, Any]) -> dict[str, Any]:
    """One item under one filter: its prompt, the model's response and the scores."""
    metrics = {name: sample[name] for name in sample["metrics"]}
    return {
        "task": task,
        "item": f"{task}/{sample['doc_id']}",
        "filter": sample["filter"],
        "prompt": str(sample["arguments"][0][0]),
        "target": str(sample["target"]),
        "response": json.dumps(sample["filtered_resps"], ensure_ascii=False, default=str),
        "metrics": json.dumps(metrics, sort_keys=True, default=float),
        "prompt_hash": sample["prompt_hash"],
    }


def _count_truncated(
    results: Mapping[str, Any], tasks: Mapping[str, Any], model: "HFLM | VLLM"
) -> int:
    """Number of prompts whose beginning lm-eval cut, to leave room for an answer in the context."""
    cut = 0
    for name, samples in results["samples"].items():
        config = tasks[name].config
        room = 1  # at least one token of a choice
        if config.output_type == "generate_until":
            room = (config.generation_kwargs or {}).get("max_gen_toks", model.max_gen_toks)
        # By item, because lm-eval has a sample of it for each filter.
        prompts = {sample["doc_id"]: sample["arguments"][0][0] for sample in samples}
        encoded = model.tokenizer(list(prompts.values()), verbose=False)["input_ids"]
        cut += sum(len(ids) + room > model.max_length for ids in encoded)
    return cut


def _task_metrics(results: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    import lm_eval

    versions = {name: str(value) for name, value in results["versions"].items()}
    return {
        **facts,
        "scores": {name: _read_scores(values) for name, values in results["results"].items()},
        "shots": dict(sorted(results["n-shot"].items())),
        "versions": {"lm_eval": lm_eval.__version__, **versions},
    }


def _read_scores(results: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Value and standard error by metric and filter, from lm-eval's keys "metric,filter"."""
    scores: dict[str, dict[str, float | None]] = {}
    for key, value in results.items():
        metric, comma, kind = key.partition(",")
        if not comma or metric.endswith("_stderr"):
            continue
        error = results.get(f"{metric}_stderr,{kind}")  # "N/A" where lm-eval has none
        name = metric if kind == "none" else f"{metric} ({kind})"
        stderr = float(error) if isinstance(error, int | float) else None
        scores[name] = {"value": float(value), "stderr": stderr}
    return scores


def _data_digest(data: LocalData) -> str:
    """SHA-256 over names and contents of the files that were read."""
    lines = []
    for file in data.files:
        lines.append(f"{file.relative_to(data.folder).as_posix()} {file_digest(file)}\n")
    lines.sort()  # the order in which files were read may change
    return hashlib.sha256("".join(lines).encode()).hexdigest()
