"""The influence stage: scores of a probe's rows on a reference set, in resumable parts."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import torch

from montessori import chat
from montessori.artifacts import (
    PROBE,
    ROWS,
    SCORES,
    folder_digest,
    new_folder,
    read_table,
    write_table,
)
from montessori.errors import MontessoriError
from montessori.influence.adamw import AdamWState, read_state
from montessori.influence.audit import Audit, compare, require_faithful, spread
from montessori.influence.exact import ExactStep
from montessori.influence.first_order import FirstOrder, reference_gradients
from montessori.influence.summary import histogram, summary
from montessori.parts import Parts, parts_digest
from montessori.progress import track
from montessori.train.device import settle
from montessori.train.loss import Row, tokenised
from montessori.weights import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from montessori.influence.settings import InfluenceParams
    from montessori.stage import Machine

ALL = "all"


@dataclass(frozen=True)
class References:
    """Reference rows and their groups: one per skill, whose weighted mean is the whole set.

    `names` are the skills; a group of rows without skill has no name and only counts in the whole.
    """

    rows: list[Row]
    names: list[str | None]
    groups: list[list[int]]

    @property
    def weights(self) -> torch.Tensor:
        """Share of the reference rows in each group, fp64, shape (groups,)."""
        sizes = torch.tensor([len(group) for group in self.groups], dtype=torch.float64)
        return sizes / sizes.sum()


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
) -> dict[str, Any]:
    """Score the probe's kept rows that warm-up did not see; write `out`/scores.parquet.

    Reads the warmed-up student in folder `warmup`; `plot` gets the histogram of the centred scores.
    A score is the fall of the reference loss (nats per token) by one AdamW step on the row, to
    first order; `neutral` is that of the momentum alone, or 0. Finished parts are kept under
    `work`, so a stopped run continues. Returns metrics. Raises MontessoriError for unusable inputs,
    a score that is not finite, and an audit below its limit.
    """
    digest = _digest(warmup, probe, reference, settings)
    model = load_model(warmup).to(settle(machine))
    tokenizer = chat.load_tokenizer(warmup)
    state = read_state(warmup, model)
    frame = _probe_rows(probe, state)
    rows = tokenised(tokenizer, frame["messages"].to_list(), settings.max_length)
    _require_responses(rows, frame, probe, settings)
    references = _references(tokenizer, reference, settings)
    pad = tokenizer.pad_token_id or 0
    gradients = reference_gradients(model, references.rows, references.groups, pad)
    engine = FirstOrder(model, state, settings.learning_rate, gradients, pad)
    parts = Parts(work, digest)
    scores = _score_parts(engine, rows, frame, references, settings, parts, label)
    centred = _centred(scores, engine, references)
    audit = _audit(model, state, rows, centred, references, settings, pad)
    facts = {
        "rows": frame.height,
        "references": len(references.rows),
        "template_hash": chat.template_hash(tokenizer),
    }
    inputs = {"warmup": warmup, "probe": probe, "reference": reference}
    with new_folder(out, inputs, facts) as folder:
        write_table(scores, folder / "scores.parquet", SCORES)
    _write_histogram(plot, centred)
    parts.clear()
    metrics = summary(centred, frame["skill"].to_list())
    metrics["momentum_only"] = float(engine.neutral.cpu() @ references.weights)
    return metrics | ({"audit": asdict(audit)} if audit else {})


def _digest(warmup: Path, probe: Path, reference: Path, settings: "InfluenceParams") -> str:
    """What the parts depend on; the audit does not change them."""
    params = {k: v for k, v in asdict(settings).items() if not k.startswith("audit")}
    inputs = {
        name: folder_digest(path)
        for name, path in (("warmup", warmup), ("probe", probe), ("reference", reference))
    }
    return parts_digest(params, inputs, SCORES)


def _probe_rows(probe: Path, state: AdamWState) -> pl.DataFrame:
    """Kept rows of the probe that did not take part in warm-up, in table order."""
    frame = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    left = frame.filter(~pl.col("row_id").is_in(list(state.rows)))
    if left.height < 2:
        raise MontessoriError(
            f"{left.height} of {frame.height} kept rows are left after warm-up",
            where=str(probe / "rows.parquet"),
            expected="at least 2 rows to score",
            next="lower warmup.rows or raise probe.prompts in params.yaml, then `dvc repro`",
        )
    return left


def _require_responses(
    rows: Sequence[Row], frame: pl.DataFrame, probe: Path, settings: "InfluenceParams"
) -> None:
    bad = [row_id for row, row_id in zip(rows, frame["row_id"], strict=True) if not row.targets]
    if bad:
        raise MontessoriError(
            f"{len(bad)} probe rows have no response within {settings.max_length} tokens",
            where=f"{probe / 'rows.parquet'}, row {bad[0]}",
            expected="at least one assistant token in every row",
            next="raise influence.max_length in params.yaml, or drop the rows",
        )


def _references(tokenizer: Any, reference: Path, settings: "InfluenceParams") -> References:
    """The first `settings.references` rows of the reference set, grouped by skill."""
    frame = read_table(reference / "rows.parquet", ROWS).head(settings.references)
    every = tokenised(tokenizer, frame["messages"].to_list(), settings.max_length)
    kept = [(row, skill) for row, skill in zip(every, frame["skill"], strict=True) if row.targets]
    if not kept:
        raise MontessoriError(
            f"none of the {frame.height} reference rows has a response to measure",
            where=str(reference / "rows.parquet"),
            expected="rows with assistant text within influence.max_length tokens",
            next="check the reference set in params.yaml, section sources",
        )
    groups: dict[str | None, list[int]] = defaultdict(list)
    for i, (_, skill) in enumerate(kept):
        groups[skill].append(i)
    names = sorted(groups, key=lambda name: (name is None, name or ""))
    return References([row for row, _ in kept], names, [groups[name] for name in names])


def _score_parts(
    engine: FirstOrder,
    rows: Sequence[Row],
    frame: pl.DataFrame,
    references: References,
    settings: "InfluenceParams",
    parts: Parts,
    label: str,
) -> pl.DataFrame:
    """The scores table of all rows; parts that are finished are read, not scored again."""
    size = settings.rows_per_part
    made = []
    with track(len(rows), "rows", label) as progress, engine:
        for index, start in enumerate(range(0, len(rows), size)):
            chunk = frame.slice(start, size)
            if parts.done(index) is None:
                centred = [engine.centred(row).cpu() for row in rows[start : start + size]]
                _require_finite(centred, chunk["row_id"].to_list())
                parts.write(index, _table(chunk, centred, engine, references, settings))
            made.append(parts.read(index))
            progress.advance(chunk.height)
    scores = pl.concat(made)
    _require_complete(scores, frame)
    return scores


def _table(
    chunk: pl.DataFrame,
    centred: Sequence[torch.Tensor],
    engine: FirstOrder,
    references: References,
    settings: "InfluenceParams",
) -> pl.DataFrame:
    """Rows of the scores table: per probe row the whole reference set, then each skill."""
    neutral, weights = engine.neutral.cpu(), references.weights
    columns = [(ALL, weights)]
    for k, name in enumerate(references.names):
        if name is not None:
            columns.append(
                (name, torch.nn.functional.one_hot(torch.tensor(k), len(weights)).double())
            )
    zero = settings.baseline == "before"
    table = []
    for row, value in zip(chunk.iter_rows(named=True), centred, strict=True):
        for name, mix in columns:
            rest = float(neutral @ mix)
            table.append(
                (
                    row["row_id"],
                    row["prompt_id"],
                    name,
                    float(value @ mix) + rest,
                    0.0 if zero else rest,
                )
            )
    return pl.DataFrame(table, schema=dict(SCORES), orient="row")


def _centred(scores: pl.DataFrame, engine: FirstOrder, references: References) -> list[float]:
    """Centred scores on the whole reference set, in the order of the probe rows."""
    neutral = float(engine.neutral.cpu() @ references.weights)
    return (scores.filter(pl.col("reference") == ALL)["score"] - neutral).to_list()


def _audit(
    model: "PreTrainedModel",
    state: AdamWState,
    rows: Sequence[Row],
    centred: Sequence[float],
    references: References,
    settings: "InfluenceParams",
    pad: int,
) -> Audit | None:
    """Exact fp32 steps on rows over the whole range of scores; None when switched off."""
    if settings.audit == 0:
        return None
    chosen = spread(centred, settings.audit)
    exact = ExactStep(model, state, settings.learning_rate, references.rows, pad)
    rest = exact.momentum_only()
    with track(len(chosen), "rows", "audit") as progress:
        falls = []
        for i in chosen:
            falls.append(exact.influence(rows[i]) - rest)
            progress.advance()
    audit = compare([centred[i] for i in chosen], falls)
    require_faithful(audit, settings.audit_spearman)
    return audit


def _require_finite(centred: Sequence[torch.Tensor], row_ids: Sequence[str]) -> None:
    for value, row_id in zip(centred, row_ids, strict=True):
        if not torch.isfinite(value).all():
            raise MontessoriError(
                "the influence of a row is not a finite number",
                where=f"probe row {row_id}",
                expected="finite weights, moments and losses",
                next="look at the row, and at the loss in the warm-up's metrics; then `dvc repro`",
            )


def _require_complete(scores: pl.DataFrame, frame: pl.DataFrame) -> None:
    found = scores.filter(pl.col("reference") == ALL)["row_id"].to_list()
    if found != frame["row_id"].to_list():
        raise MontessoriError(
            f"{len(found)} scored rows are not the {frame.height} rows to score",
            where="the finished parts of this stage",
            next="remove .work/influence and run `dvc repro`",
        )


def _write_histogram(plot: Path, centred: Sequence[float]) -> None:
    frame = pl.DataFrame(histogram(centred), schema=["influence", "rows", "sign"], orient="row")
    plot.parent.mkdir(parents=True, exist_ok=True)
    frame.write_csv(plot, float_precision=9)
