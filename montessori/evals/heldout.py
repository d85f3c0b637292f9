"""The loss of a model on held-out rows, the most sensitive figure of what a run has learned."""

import math
import sys
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.dialogue import build_dialogue
from montessori.errors import MontessoriError
from montessori.evals.items import HELDOUT, Item, heldout_part, items_path, read_items
from montessori.pipeline.machine import Machine

SCHEMA = {
    "item_id": pl.String,
    "skill": pl.String,
    "loss": pl.Float64,
    "tokens": pl.Int64,
    "cut": pl.Boolean,
    "special_text": pl.Boolean,
    "system_joined": pl.Boolean,
}


def measure_heldout(
    model: Path, evals: Path, max_length: int, machine: Machine
) -> pl.DataFrame | None:
    """The loss of the model folder `model` on each held-out row; None where there are no rows.

    One row per item: item_id, skill ("" if unknown), loss (mean over the tokens of the responses,
    nats; null where none of them is within `max_length`), tokens (of the responses, that count),
    cut (whether the row is longer than `max_length`), special_text and system_joined (as in
    `count_changed_rows`). The model runs in fp32, without dropout.
    Raises MontessoriError when no row has a response within `max_length`, or a loss is not finite.
    """
    if not items_path(evals, HELDOUT, HELDOUT).is_file():
        return None
    items = read_items(evals, HELDOUT, HELDOUT)
    from montessori.models import chat
    from montessori.train.loss import Row, tokenize_rows

    tokenizer = chat.load_tokenizer(model)
    whole = tokenize_rows(tokenizer, [_messages_of(item) for item in items], sys.maxsize)
    # Cut as in training: to the first tokens.
    rows = [Row(row.ids[:max_length], row.labels[:max_length]) for row in whole]
    usable = [row for row in rows if row.targets]
    if not usable:
        raise _too_long_error(len(rows), min(len(row.ids) for row in whole), evals)
    losses = iter(_measure_losses(model, usable, tokenizer.pad_token_id or 0, machine))
    records = []
    for item, row, uncut in zip(items, rows, whole, strict=True):
        loss = next(losses) if row.targets else None
        changed = len(uncut.ids) > max_length, uncut.plain, uncut.joined
        records.append((item.item_id, item.skill, loss, row.targets, *changed))
    return pl.DataFrame(records, schema=SCHEMA, orient="row")


def _messages_of(item: Item) -> list[dict[str, str]]:
    return build_dialogue(item.turns, item.responses, [item.system] if item.system else [])


def _measure_losses(folder: Path, rows: list[Any], pad: int, machine: Machine) -> list[float]:
    from montessori.models.adapters import load_merged
    from montessori.train.device import choose_device
    from montessori.train.loss import mean_losses, measure_rows

    model = load_merged(folder).to(choose_device(machine)).eval()
    losses = measure_rows(mean_losses, model, rows, pad)
    wrong = sum(not math.isfinite(loss) for loss in losses)
    if wrong:
        raise MontessoriError(
            f"the loss of {wrong} of {len(losses)} held-out rows is not finite",
            where=str(folder),
            expected="a model whose weights are finite",
            next="train it again with a lower learning rate",
        )
    return losses


def _too_long_error(rows: int, shortest: int, evals: Path) -> MontessoriError:
    return MontessoriError(
        f"none of {rows} held-out rows has a token of a response within eval.max_length",
        where=str(items_path(evals, HELDOUT, HELDOUT)),
        expected=f"rows whose prompts leave room for a response; the shortest has {shortest} "
        "tokens",
        next="raise eval.max_length (and student_sft.max_length), or name shorter rows in "
        "sources.heldout",
    )


def heldout_metrics(frame: pl.DataFrame) -> dict[str, Any]:
    """The metrics of a run on its held-out rows, losses in nats per token.

    heldout: the mean over rows of each row's mean token loss. heldout_skills: the same by skill.
    heldout_tokens: tokens that it is taken over. heldout_cut: rows longer than eval.max_length.
    heldout_left_out: those of them without a token of a response, which count in no mean.
    heldout_special_text, heldout_system_joined: rows that are not read as they stand, if any.
    """
    means = (
        frame.group_by("skill", maintain_order=True)
        .agg(pl.col("loss").mean())
        .drop_nulls()
        .sort("skill")
    )
    skills = {skill: loss for skill, loss in means.iter_rows() if skill}
    changed = {name: int(frame[name].sum()) for name in ("special_text", "system_joined")}
    metrics: dict[str, Any] = {HELDOUT: frame.select(pl.col("loss").mean()).item()}
    return metrics | {
        **({f"{HELDOUT}_skills": skills} if skills else {}),
        f"{HELDOUT}_tokens": int(frame["tokens"].sum()),
        f"{HELDOUT}_cut": int(frame["cut"].sum()),
        f"{HELDOUT}_left_out": frame["loss"].null_count(),
        **{f"{HELDOUT}_{name}": count for name, count in changed.items() if count},
    }


def heldout_outcomes(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Items and losses by benchmark: all rows, and those of each skill where there are several."""
    tables = {HELDOUT: frame.select("item_id", "loss")}
    skills = sorted(set(frame["skill"]))
    for skill in filter(None, skills if len(skills) > 1 else ()):
        own = frame.filter(pl.col("skill") == skill)
        tables[heldout_part(skill)] = own.select("item_id", "loss")
    return tables
