"""Probing data of responses: a teacher answers an instruction several times.

For response optimisation (Montessori-Instruct, arXiv 2410.14208, section 5: the ablation that tunes
responses instead of instructions). Such a probe has the columns of any other: `prompt` is the
instruction and `raw` the response. So signals, pairs and DPO treat it like instruction
optimisation; only what the pairs hold is different.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.dialogue import (
    build_dialogue,
    build_prompts,
    join_system,
    user_turns,
)
from montessori.artifacts.files import make_table, row_id
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.models.lineage import is_tuned
from montessori.progress import track_progress
from montessori.seeding import seed_of
from montessori.train.unseen import read_unseen_rows
from montessori.writing.asking import find_text_problem
from montessori.writing.causes import find_answer_causes, show_text
from montessori.writing.collapse import SHOWN, list_reasons
from montessori.writing.measures import count_thoughts, sum_known
from montessori.writing.order import Order
from montessori.writing.settings import ResponseProbeParams

KIND = "response-probe"
#: Rows of a part: a probe's columns, and whether the response came behind a thought.
PART = {**PROBE, "thinking": pl.Int64}


def write_responses(order: Order, settings: ResponseProbeParams, out: Path) -> dict[str, Any]:
    """Write `out`/rows.parquet (PROBE): `settings.samples` responses to each instruction.

    `order.inputs` are probe, warmup and teacher. Instructions are those of kept rows that warm-up
    did not see, once each, with a single user turn. A response that is empty, endless, holds a
    special token or repeats an earlier one to the same instruction is dropped. Finished parts are
    kept under `order.work`. Returns metrics. Raises MontessoriError when no instruction is left,
    or no response is kept; `out` is then not written.
    """
    inputs = order.inputs
    instructions = _read_instructions(inputs["warmup"], inputs["probe"], settings.instructions)
    parts = order.open_parts({**asdict(order.generation), **asdict(settings)}, PART)
    open_engine = order.lazy_engine()
    size = settings.instructions_per_part
    starts = range(0, instructions.height, size)
    with track_progress(instructions.height, "instructions", f"{KIND} {order.name}") as progress:
        for part, start in enumerate(starts):
            batch = instructions[start : start + size]
            if not parts.find_part(part):
                parts.write_part(part, _answer_batch(open_engine(), batch, settings, order.seed))
            progress.advance(batch.height)
    rows = pl.concat([parts.read_part(part) for part in range(len(starts))])
    _require_kept(rows, inputs["teacher"])
    order.write_rows(out, rows.select(list(PROBE)), PROBE)
    return order.clear_work(parts, _measure_responses(rows))


def _read_instructions(warmup: Path, probe: Path, most: int) -> pl.DataFrame:
    """Columns instruction and skill of the first `most` (0 = all) instructions, in probe order.

    A row's system prompt stands at the beginning of its instruction.
    """
    turns, unseen = [], read_unseen_rows(warmup, probe)
    for messages in unseen["messages"].to_list():
        turns.append(user_turns(join_system(messages)))
    single = unseen.with_columns(
        pl.Series("instruction", [each[0] for each in turns], dtype=pl.String)
    ).filter(pl.Series([len(each) == 1 for each in turns], dtype=pl.Boolean))
    instructions = single.select("instruction", "skill").unique("instruction", maintain_order=True)
    if instructions.height == 0:
        raise MontessoriError(
            "no instruction with a single turn is left after warm-up",
            where=str(probe / "rows.parquet"),
            expected="rows with one user turn and one response",
            next="lower warmup.rows or raise probe.prompts in params.yaml, then `dvc repro`",
        )
    return instructions.head(most) if most else instructions


def _require_kept(rows: pl.DataFrame, teacher: Path) -> None:
    """Raise MontessoriError unless a response is kept, with three of the texts and the cause."""
    dropped = Counter(rows["dropped"].drop_nulls())
    if dropped.total() < rows.height:
        return
    causes = find_answer_causes(dropped, is_tuned(teacher))
    likely = causes[0]
    texts = rows.filter(pl.col("dropped") == dropped.most_common(1)[0][0])["raw"].head(SHOWN)
    raise MontessoriError(
        f"no response of the teacher is kept; likely cause: {likely.name} ({likely.samples} of "
        f"{rows.height} samples)",
        where=f"{teacher}; dropped: {list_reasons(dropped)}; "
        f"texts: {', '.join(map(show_text, texts))}",
        expected="answers that end by themselves, with a text and no special token",
        next="; ".join(f"{cause.name}: {cause.step}" for cause in causes[:3])
        + "; then `dvc repro`",
    )


def _answer_batch(
    engine: Engine, instructions: pl.DataFrame, settings: ResponseProbeParams, seed: int
) -> pl.DataFrame:
    """All responses to some instructions as a PART table, in order (instruction, sample)."""
    texts = instructions["instruction"].to_list()
    requests = []
    for prompt, text in zip(engine.render_prompts(build_prompts(texts)), texts, strict=True):
        seeds = (seed_of(seed, KIND, text, k) for k in range(settings.samples))
        requests.append(Request(prompt, tuple(seeds)))
    sampling = Sampling(settings.max_new_tokens, settings.temperature, settings.top_p)
    rows, seen = [], set[tuple[int, str]]()
    for answer in engine.generate(requests, sampling):
        text = answer.text.strip()
        prompt = requests[answer.request].prompt
        problem = find_text_problem(answer, engine, prompt) or (None if text else "empty")
        if problem is None and (answer.request, text) in seen:
            problem = "duplicate"
        seen.add((answer.request, text))
        instruction, skill = instructions.row(answer.request)
        rows.append(_make_row(instruction, skill, answer, problem))
    return make_table(rows, PART)


def _make_row(
    instruction: str, skill: str | None, answer: Generated, problem: str | None
) -> dict[str, Any]:
    text, prompt_id = answer.text.strip(), row_id(KIND, instruction)
    kept = problem is None
    return {
        "row_id": row_id(prompt_id, str(answer.sample), text),
        "messages": build_dialogue([instruction], [text]) if kept else [],
        "instruction": instruction if kept else "",
        "response": text if kept else "",
        "skill": skill if kept else None,
        "prompt_id": prompt_id,
        "sample": answer.sample,
        "prompt": instruction,
        "raw": text,
        "dropped": problem,
        "response_tokens": answer.known_tokens,
        "thinking": int(bool(answer.thought)),
    }


def _measure_responses(rows: pl.DataFrame) -> dict[str, Any]:
    kept = rows.filter(pl.col("dropped").is_null())
    by_prompt = kept.group_by("prompt_id", maintain_order=True).len()
    reasons = (
        rows.filter(pl.col("dropped").is_not_null())
        .group_by("dropped", maintain_order=True)
        .len()
        .sort("dropped")
    )
    return {
        "samples": rows.height,
        "rows": kept.height,
        "instructions": rows["prompt_id"].n_unique(),
        "instructions_with_several": by_prompt.filter(pl.col("len") > 1).height,
        "dropped": dict(reasons.iter_rows()),
        "tokens": sum_known(rows, "response_tokens"),
        **count_thoughts(rows),
    }
