"""The influence stage: scores of a probe's rows on a reference set, in resumable parts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch

from montessori.artifacts.atomic import write_text
from montessori.artifacts.files import new_folder, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, SCORES
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import load_student
from montessori.models.weights import enable_checkpointing
from montessori.pipeline.parts import Parts
from montessori.progress import track_progress
from montessori.signals.influence.audit import (
    Audit,
    compare_estimates,
    require_faithful,
    spread_by_rank,
)
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.signals.influence.inputs import Inputs, read_inputs
from montessori.signals.influence.summary import make_histogram, summarise_scores
from montessori.signals.influence.table import make_scores_table, part_bounds, prompt_bounds
from montessori.signals.scoring import ScoringJob, require_finite
from montessori.train.adamw import read_state
from montessori.train.device import choose_device, uses_checkpointing
from montessori.train.memory import explain_memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.pipeline.machine import Machine
    from montessori.signals.influence.settings import InfluenceParams

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp64": torch.float64}

Engine = FirstOrder | ExactStep  # both have `neutral`, `score_rows` and `score_group`


def score_probe(job: ScoringJob, settings: "InfluenceParams", plot: Path) -> dict[str, Any] | None:
    """Score the probe's kept rows that warm-up did not see; write `out`/scores.parquet.

    `job.inputs` are warmup (the student and its optimizer state), probe and reference; `plot` gets
    the histogram of the centred scores. A score is the fall of the reference loss (nats per token)
    by one AdamW step on the row; `neutral` is that of the momentum alone, or 0. With unit "group"
    it is what the row adds to one step on all rows of its prompt, and neutral is 0.

    Finished parts are kept under `job.work`, so a stopped run continues. Returns metrics; a shard
    of several only fills its parts and returns None. Raises MontessoriError for unusable inputs,
    too little memory, a score that is not finite, and an audit below its limit.
    """
    warmup = job.inputs["warmup"]
    parts = _open_parts(job, settings)
    with explain_memory(
        "not enough memory to compute influence; finished parts are kept",
        "set machine.influence_batch: 1, machine.gradient_checkpointing: on, or "
        "influence.precision: bf16",
    ):
        model = _load_student(warmup, settings, job.machine)
        tokenizer = chat.load_tokenizer(warmup)
        inputs = read_inputs(job.inputs, tokenizer, settings)
        engine = _make_engine(model, warmup, inputs, settings, job.machine)
        _fill_parts(job, parts, engine, inputs, settings)
        if job.shard.count > 1:
            return None
        scores = _read_parts(parts, inputs, settings)
        neutral = float(engine.neutral.cpu() @ inputs.references.weights)
        shift = float(_reporting_shift(engine, settings) @ inputs.references.weights)
        whole = scores.filter(pl.col("reference") == ALL_REFERENCES)
        centred = (whole["score"] - shift).to_list()
        parameters = model.num_parameters()
        del engine, model  # before the audit loads a student of its own
        audit = _audit_scores(job, inputs, centred, settings)
    facts = {
        "rows": inputs.frame.height,
        "references": len(inputs.references.rows),
        "template_hash": chat.template_hash(tokenizer),
    }
    with new_folder(job.out, job.inputs, facts) as folder:
        write_table(scores, folder / "scores.parquet", SCORES)
    _write_histogram(plot, centred)
    parts.remove_all()
    metrics = summarise_scores(centred, inputs.frame["skill"].to_list())
    metrics |= {"momentum_only": neutral, "parameters": parameters}
    metrics |= _count_tokens(inputs, settings) | inputs.count_left_out()
    return metrics | ({"audit": asdict(audit)} if audit else {})


def _open_parts(job: ScoringJob, settings: "InfluenceParams") -> Parts:
    """The finished parts. The settings of the audit do not change them."""
    params = {key: value for key, value in asdict(settings).items() if not key.startswith("audit")}
    return job.open_parts(params, SCORES)


def _count_tokens(inputs: Inputs, settings: "InfluenceParams") -> dict[str, int]:
    """Tokens with a backward pass and tokens only read; rows of the audit count at mean length."""
    rows = sum(len(row.ids) for row in inputs.rows)
    references = sum(len(row.ids) for row in inputs.references.rows)
    number, audited = len(inputs.rows), min(settings.audit, len(inputs.rows))
    exact = number if settings.estimate == "exact" else 0
    steps = exact + audited  # each with a reference pass, besides the one before any step
    trained = rows + (0 if exact else references) + round(rows * audited / number)
    return {"tokens_trained": trained, "tokens_forward": references * (steps + bool(steps))}


def _load_student(
    warmup: Path, settings: "InfluenceParams", machine: "Machine"
) -> "PreTrainedModel":
    device = choose_device(machine)
    # Loaded in the wanted format, because casting a model would round its rotary frequencies too.
    model = load_student(warmup, DTYPES[settings.precision]).to(device)
    if settings.precision != "fp32":
        _require_precision(model, warmup, settings.precision)
    return enable_checkpointing(model) if uses_checkpointing(machine, device) else model


def _require_precision(model: "PreTrainedModel", warmup: Path, precision: str) -> None:
    """Raise MontessoriError when the model's own code cannot read two tokens in this format."""
    try:
        with torch.inference_mode():
            model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=model.device))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError) as error:
        raise MontessoriError(
            f"{type(model).__name__} cannot be computed in {precision}: {error}",
            where=str(warmup),
            expected="a model whose code in transformers takes this format",
            next="set influence.precision: fp32 in params.yaml, then `dvc repro`",
        ) from error


def _make_engine(
    model: "PreTrainedModel",
    warmup: Path,
    inputs: Inputs,
    settings: "InfluenceParams",
    machine: "Machine",
) -> Engine:
    """The engine that the settings name, in the number format of `model`."""
    state, references = read_state(warmup, model), inputs.references
    if settings.estimate == "exact":
        return ExactStep(
            model,
            state,
            settings.learning_rate,
            references.rows,
            references.groups,
            inputs.pad,
            settings.max_grad_norm,
        )
    gradients = reference_gradients(model, references.rows, references.groups, inputs.pad)
    return FirstOrder(
        model,
        state,
        settings.learning_rate,
        gradients,
        inputs.pad,
        settings.max_grad_norm,
        machine.influence_batch,
        {"auto": None, "on": True, "off": False}[machine.compile],
    )


def _fill_parts(
    job: ScoringJob, parts: Parts, engine: Engine, inputs: Inputs, settings: "InfluenceParams"
) -> None:
    """Score the shard's parts that are not finished yet."""
    every = part_bounds(inputs.prompts, settings.rows_per_part)
    own = [(index, *bounds) for index, bounds in enumerate(every) if job.shard.owns_part(index)]
    shift = _reporting_shift(engine, settings)  # (groups,)
    neutral = torch.zeros_like(shift) if settings.baseline == "before" else shift
    with track_progress(sum(end - start for _, start, end in own), "rows", job.label) as progress:
        for index, start, end in own:
            if parts.find_part(index):
                progress.advance(end - start)
                continue
            places = range(start, end)
            values = _centred_values(engine, inputs, places, settings.unit, progress.advance)
            rows = inputs.frame[start:end]
            finite = torch.isfinite(values).all(dim=1).tolist()
            require_finite(finite, rows["row_id"].to_list(), "influence")
            table = make_scores_table(rows, values, inputs.references, shift, neutral)
            parts.write_part(index, table)


def _reporting_shift(engine: Engine, settings: "InfluenceParams") -> torch.Tensor:
    """What reported scores add to centred values, fp64, (groups,).

    It is the momentum-only effect for `unit: row`, zero for `unit: group`, where a row is compared
    with the group without it.
    """
    neutral = engine.neutral.cpu()
    return torch.zeros_like(neutral) if settings.unit == "group" else neutral


def _centred_values(
    engine: Engine,
    inputs: Inputs,
    places: Sequence[int],
    unit: str,
    advance: Callable[[int], None],
) -> torch.Tensor:
    """Centred scores of the rows at `places` on each reference group, fp64, (rows, groups).

    With unit "group": the influence of one step on all rows of the row's prompt, less that of the
    step without the row.
    """
    if unit == "row":
        return engine.score_rows([inputs.rows[i] for i in places], advance).cpu()
    values = torch.zeros(len(places), len(engine.neutral), dtype=torch.float64)  # (rows, groups)
    prompts = [inputs.prompts[i] for i in places]
    for first, last in prompt_bounds(prompts):
        steps = engine.score_group([inputs.rows[i] for i in places[first:last]]).cpu()
        values[first:last] = steps[0] - steps[1:]  # with all rows, less without each
        advance(last - first)
    return values


def _read_parts(parts: Parts, inputs: Inputs, settings: "InfluenceParams") -> pl.DataFrame:
    """All parts as one table. Raises MontessoriError when its rows are not those to score."""
    every = part_bounds(inputs.prompts, settings.rows_per_part)
    scores = pl.concat([parts.read_part(index) for index in range(len(every))])
    scored = scores.filter(pl.col("reference") == ALL_REFERENCES)["row_id"].to_list()
    if scored != inputs.frame["row_id"].to_list():
        raise MontessoriError(
            f"{len(scored)} scored rows are not the {inputs.frame.height} rows to score",
            where=str(parts.folder),
            next="remove .work/influence and run `dvc repro`",
        )
    return scores


# --------------------------------------------------------------------------------------- audit
def _audit_scores(
    job: ScoringJob, inputs: Inputs, centred: list[float], settings: "InfluenceParams"
) -> Audit | None:
    """Exact fp32 steps on rows over the whole range of scores; None when switched off."""
    if settings.audit == 0:
        return None
    warmup, whole = job.inputs["warmup"], inputs.on_whole_reference()
    exact_settings = replace(settings, estimate="exact", precision="fp32")
    student = _load_student(warmup, exact_settings, job.machine)
    engine = _make_engine(student, warmup, whole, exact_settings, job.machine)
    chosen = _choose_audited(centred, inputs, settings)
    with track_progress(len(chosen), "rows", "audit") as progress:
        values = _centred_values(engine, whole, chosen, settings.unit, progress.advance)
    audit = compare_estimates([centred[i] for i in chosen], values[:, 0].tolist())
    require_faithful(audit, settings.audit_spearman)
    return audit


def _choose_audited(centred: list[float], inputs: Inputs, settings: "InfluenceParams") -> list[int]:
    """Rows for the audit, over the whole range of scores; whole prompts with unit "group"."""
    if settings.unit == "row":
        return spread_by_rank(centred, settings.audit)
    prompts = prompt_bounds(inputs.prompts)
    rows_per_prompt = max(1, len(centred) // len(prompts))
    wanted = max(2, -(-settings.audit // rows_per_prompt))  # prompts, rounded up
    seeds = set(spread_by_rank(centred, wanted))
    chosen: list[int] = []
    for first, last in prompts:
        if not seeds.isdisjoint(range(first, last)):
            chosen += range(first, last)
    return chosen


def _write_histogram(plot: Path, centred: Sequence[float]) -> None:
    bars = make_histogram(centred)
    frame = pl.DataFrame(bars, schema=["influence", "rows", "sign"], orient="row")
    write_text(plot, frame.write_csv(float_precision=9))
