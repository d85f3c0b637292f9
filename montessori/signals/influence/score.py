"""The influence stage: scores of a probe's rows on a reference set, in resumable parts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch

from montessori.artifacts.files import folder_digest, new_folder, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, SCORES
from montessori.errors import MontessoriError
from montessori.models import chat
from montessori.models.adapters import load_student
from montessori.models.weights import enable_checkpointing
from montessori.pipeline.parts import Parts, Shard, parts_digest
from montessori.progress import track_progress
from montessori.signals.influence.audit import Audit, compare, require_faithful, spread
from montessori.signals.influence.exact import ExactStep
from montessori.signals.influence.first_order import FirstOrder, reference_gradients
from montessori.signals.influence.inputs import Inputs, read_inputs
from montessori.signals.influence.summary import histogram, summary
from montessori.signals.influence.table import part_bounds, prompt_bounds, scores_table
from montessori.train.adamw import read_state
from montessori.train.device import choose_device, uses_checkpointing

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.pipeline.machine import Machine
    from montessori.signals.influence.settings import InfluenceParams

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp64": torch.float64}
WHOLE = Shard(1, 1)

Engine = FirstOrder | ExactStep  # both give the same things


def score_probe(
    warmup: Path,
    probe: Path,
    reference: Path,
    out: Path,
    plot: Path,
    settings: "InfluenceParams",
    machine: "Machine",
    work: Path,
    label: str = "influence",
    shard: Shard = WHOLE,
) -> dict[str, Any] | None:
    """Score the probe's kept rows that warm-up did not see; write `out`/scores.parquet.

    Reads the warmed-up student in folder `warmup`; `plot` gets the histogram of the centred scores.
    A score is the fall of the reference loss (nats per token) by one AdamW step on the row;
    `neutral` is that of the momentum alone, or 0. With unit "group" it is what the row adds to one
    step on all rows of its prompt, and neutral is 0. Finished parts are kept under `work`, so a
    stopped run continues. Returns metrics; a `shard` of several only fills its parts and returns
    None. Raises MontessoriError for unusable inputs, too little memory, a score that is not finite,
    and an audit below its limit.
    """
    parts = Parts(work, _digest(warmup, probe, reference, settings))
    with _enough_memory():
        model = _student(warmup, settings, machine)
        tokenizer = chat.load_tokenizer(warmup)
        inputs = read_inputs(warmup, probe, reference, tokenizer, settings)
        engine = _engine(model, warmup, inputs, settings, machine)
        _fill(parts, engine, inputs, settings, shard, label)
        if shard.count > 1:
            return None
        scores = _complete(parts, inputs, settings)
        neutral = float(engine.neutral.cpu() @ inputs.references.weights)
        shift = float(_shift(engine, settings) @ inputs.references.weights)
        centred = (scores.filter(pl.col("reference") == ALL_REFERENCES)["score"] - shift).to_list()
        parameters = model.num_parameters()
        del engine, model
        audit = _audit(warmup, inputs, centred, settings, machine)
    facts = {
        "rows": inputs.frame.height,
        "references": len(inputs.references.rows),
        "template_hash": chat.template_hash(tokenizer),
    }
    sources = {"warmup": warmup, "probe": probe, "reference": reference}
    with new_folder(out, sources, facts) as folder:
        write_table(scores, folder / "scores.parquet", SCORES)
    _write_histogram(plot, centred)
    parts.remove_all()
    metrics = summary(centred, inputs.frame["skill"].to_list())
    metrics |= {"momentum_only": neutral, "parameters": parameters, **_passes(inputs, settings)}
    return metrics | ({"audit": asdict(audit)} if audit else {})


def _passes(inputs: Inputs, settings: "InfluenceParams") -> dict[str, int]:
    """Tokens with a backward pass and tokens only read; rows of the audit count at mean length."""
    rows = sum(len(row.ids) for row in inputs.rows)
    references = sum(len(row.ids) for row in inputs.references.rows)
    number, audited = len(inputs.rows), min(settings.audit, len(inputs.rows))
    exact = number if settings.estimate == "exact" else 0
    steps = exact + audited  # each with a reference pass, besides that of no step at all
    trained = rows + (0 if exact else references) + round(rows * audited / number)
    return {"tokens_trained": trained, "tokens_forward": references * (steps + bool(steps))}


def _digest(warmup: Path, probe: Path, reference: Path, settings: "InfluenceParams") -> str:
    """What the parts depend on; the audit does not change them."""
    params = {k: v for k, v in asdict(settings).items() if not k.startswith("audit")}
    inputs = {
        name: folder_digest(path)
        for name, path in (("warmup", warmup), ("probe", probe), ("reference", reference))
    }
    return parts_digest(params, inputs, SCORES)


def _student(warmup: Path, settings: "InfluenceParams", machine: "Machine") -> "PreTrainedModel":
    device = choose_device(machine)
    model = load_student(warmup).to(device=device, dtype=DTYPES[settings.precision])
    return enable_checkpointing(model) if uses_checkpointing(machine, device) else model


def _engine(
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
            model, state, settings.learning_rate, references.rows, references.groups, inputs.pad,
            settings.max_grad_norm,
        )  # fmt: skip
    gradients = reference_gradients(model, references.rows, references.groups, inputs.pad)
    return FirstOrder(
        model, state, settings.learning_rate, gradients, inputs.pad,
        settings.max_grad_norm, machine.influence_batch, machine.compile,
    )  # fmt: skip


def _fill(
    parts: Parts,
    engine: Engine,
    inputs: Inputs,
    settings: "InfluenceParams",
    shard: Shard,
    label: str,
) -> None:
    """Score the shard's parts that are not finished yet."""
    every = part_bounds(inputs.prompts, settings.rows_per_part)
    mine = [(index, *bounds) for index, bounds in enumerate(every) if shard.owns_part(index)]
    shift = _shift(engine, settings)
    neutral = torch.zeros_like(shift) if settings.baseline == "before" else shift
    with track_progress(sum(end - start for _, start, end in mine), "rows", label) as progress:
        for index, start, end in mine:
            if parts.find_part(index):
                progress.advance(end - start)
                continue
            values = _values(engine, inputs, range(start, end), settings.unit, progress.advance)
            rows = inputs.frame[start:end]
            _require_finite(values, rows["row_id"].to_list())
            parts.write_part(index, scores_table(rows, values, inputs.references, shift, neutral))


def _shift(engine: Engine, settings: "InfluenceParams") -> torch.Tensor:
    """What is added to centred values: a group's step is compared without the row, not before."""
    neutral = engine.neutral.cpu()
    return torch.zeros_like(neutral) if settings.unit == "group" else neutral


def _values(
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
        return engine.centred([inputs.rows[i] for i in places], advance).cpu()
    found = torch.zeros(len(places), len(engine.neutral), dtype=torch.float64)
    prompts = [inputs.prompts[i] for i in places]
    for first, last in prompt_bounds(prompts):
        steps = engine.group([inputs.rows[i] for i in places[first:last]]).cpu()
        found[first:last] = steps[0] - steps[1:]
        advance(last - first)
    return found


def _complete(parts: Parts, inputs: Inputs, settings: "InfluenceParams") -> pl.DataFrame:
    """All parts as one table, checked by row id."""
    every = part_bounds(inputs.prompts, settings.rows_per_part)
    scores = pl.concat([parts.read_part(index) for index in range(len(every))])
    found = scores.filter(pl.col("reference") == ALL_REFERENCES)["row_id"].to_list()
    if found != inputs.frame["row_id"].to_list():
        raise MontessoriError(
            f"{len(found)} scored rows are not the {inputs.frame.height} rows to score",
            where=str(parts.folder),
            next="remove .work/influence and run `dvc repro`",
        )
    return scores


def _audit(
    warmup: Path,
    inputs: Inputs,
    centred: list[float],
    settings: "InfluenceParams",
    machine: "Machine",
) -> Audit | None:
    """Exact fp32 steps on rows over the whole range of scores; None when switched off."""
    if settings.audit == 0:
        return None
    whole = inputs.on_whole_reference()
    exact_settings = replace(settings, estimate="exact", precision="fp32")
    exact = _engine(
        _student(warmup, exact_settings, machine), warmup, whole, exact_settings, machine
    )
    chosen = _sample(centred, inputs, settings)
    with track_progress(len(chosen), "rows", "audit") as progress:
        values = _values(exact, whole, chosen, settings.unit, progress.advance)
    audit = compare([centred[i] for i in chosen], values[:, 0].tolist())
    require_faithful(audit, settings.audit_spearman)
    return audit


def _sample(centred: list[float], inputs: Inputs, settings: "InfluenceParams") -> list[int]:
    """Rows for the audit, over the whole range of scores; whole prompts with unit "group"."""
    if settings.unit == "row":
        return spread(centred, settings.audit)
    prompts = prompt_bounds(inputs.prompts)
    each = max(1, len(centred) // len(prompts))
    some = set(spread(centred, max(2, -(-settings.audit // each))))
    chosen = [range(first, last) for first, last in prompts if some & set(range(first, last))]
    return [i for places in chosen for i in places]


def _require_finite(values: torch.Tensor, row_ids: Sequence[str]) -> None:
    bad = (~torch.isfinite(values)).any(dim=1).nonzero().flatten().tolist()
    if bad:
        raise MontessoriError(
            f"the influence of {len(bad)} of {len(row_ids)} rows is not a finite number",
            where=f"probe row {row_ids[bad[0]]}",
            expected="finite weights, moments and losses",
            next="look at the row, and at the loss in the warm-up's metrics; then `dvc repro`",
        )


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Turn running out of memory into an error that says which settings to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and "not enough memory" not in str(error):
            raise
        raise MontessoriError(
            "not enough memory to compute influence; finished parts are kept",
            where=str(error).splitlines()[0] if str(error) else "",
            next="set machine.influence_batch: 1, machine.gradient_checkpointing: on, or "
            "influence.precision: bf16 in params.yaml, then `dvc repro`",
        ) from error


def _write_histogram(plot: Path, centred: Sequence[float]) -> None:
    frame = pl.DataFrame(histogram(centred), schema=["influence", "rows", "sign"], orient="row")
    plot.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(plot, float_precision=9)
