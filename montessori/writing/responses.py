"""Probing data of responses: a teacher answers an instruction several times.

For response optimisation (Montessori-Instruct, arXiv 2410.14208, section 5: the ablation that tunes
responses instead of instructions). Such a probe has the columns of any other: `prompt` is the
instruction and `raw` the response, so signals, pairs and DPO treat it alike, and all that differs
from instruction optimisation is what the pairs hold.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from montessori.artifacts.files import folder_digest, new_folder, row_id, write_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate import Engine, Generated, Request, Sampling
from montessori.generate.engines import teacher_facts
from montessori.generate.ledger import read_spending
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import track_progress
from montessori.seeding import seed_of
from montessori.train.unseen import read_unseen_rows
from montessori.writing.settings import ResponseProbeParams

KIND = "response-probe"


def write_responses(
    probe: Path,
    warmup: Path,
    teacher: Path,
    out: Path,
    settings: ResponseProbeParams,
    generation: GenerationParams,
    seed: int,
    open_engine: Callable[[Path], Engine],
    work: Path,
    name: str,
) -> dict[str, Any]:
    """Write `out`/rows.parquet (PROBE): `settings.samples` responses to each instruction.

    Instructions are those of kept rows that warm-up did not see, once each, with a single user
    turn. A response that is empty, endless, holds a special token or repeats an earlier one to the
    same instruction is dropped. Finished parts are kept under `work`. Returns metrics. Raises
    MontessoriError when no instruction is left.
    """
    asked = _instructions(warmup, probe, settings.instructions)
    inputs = {"probe": probe, "warmup": warmup, "teacher": teacher}
    digests = {key: folder_digest(path) for key, path in inputs.items()}
    params = {"seed": seed, **asdict(generation), **asdict(settings)}
    parts, ledger = (
        Parts(work, parts_digest(params, digests, PROBE)),
        work / f"{name}.answers.jsonl",
    )
    engine = cache(partial(open_engine, ledger))
    size = settings.instructions_per_part
    starts = range(0, asked.height, size)
    with track_progress(asked.height, "instructions", f"{KIND} {name}") as progress:
        for part, start in enumerate(starts):
            some = asked[start : start + size]
            if not parts.find_part(part):
                parts.write_part(part, _answered(engine(), some, settings, seed))
            progress.advance(some.height)
    rows = pl.concat([parts.read_part(part) for part in range(len(starts))])
    facts = {"rows": rows.height, **teacher_facts(teacher, generation)}
    with new_folder(out, inputs, facts) as folder:
        write_table(rows, folder / "rows.parquet", PROBE)
    cost = read_spending(ledger)
    parts.remove_all()
    ledger.unlink(missing_ok=True)
    return _metrics(rows) | ({} if cost is None else {"server": cost})


def _instructions(warmup: Path, probe: Path, most: int) -> pl.DataFrame:
    """Columns instruction and skill of the instructions to answer, in order of the probe."""
    left = read_unseen_rows(warmup, probe).filter(pl.col("messages").list.len() == 2)
    asked = left.select("instruction", "skill").unique("instruction", maintain_order=True)
    if asked.height == 0:
        raise MontessoriError(
            "no instruction with a single turn is left after warm-up",
            where=str(probe / "rows.parquet"),
            expected="rows with one user turn and one response",
            next="lower warmup.rows or raise probe.prompts in params.yaml, then `dvc repro`",
        )
    return asked.head(most) if most else asked


def _answered(
    engine: Engine, asked: pl.DataFrame, settings: ResponseProbeParams, seed: int
) -> pl.DataFrame:
    """All responses to some instructions as a PROBE table, in order (instruction, sample)."""
    texts = asked["instruction"].to_list()
    prompts = engine.render_prompts([[{"role": "user", "content": text}] for text in texts])
    requests = [
        Request(prompt, tuple(seed_of(seed, KIND, text, k) for k in range(settings.samples)))
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    sampling = Sampling(settings.max_new_tokens, settings.temperature, settings.top_p)
    rows, seen = [], set[tuple[int, str]]()
    for answer in engine.generate(requests, sampling):
        text = answer.text.strip()
        problem = _problem(answer, engine.special_texts)
        if problem is None and (answer.request, text) in seen:
            problem = "duplicate"
        seen.add((answer.request, text))
        instruction, skill = asked.row(answer.request)
        rows.append(_row(instruction, skill, answer, problem))
    return pl.DataFrame(rows, schema=dict(PROBE))


def _problem(answer: Generated, specials: tuple[str, ...]) -> str | None:
    if not answer.finished:
        return "endless"
    if any(special in answer.text for special in specials):
        return "special token"
    return None if answer.text.strip() else "empty"


def _row(
    instruction: str, skill: str | None, answer: Generated, problem: str | None
) -> dict[str, Any]:
    text, prompt_id = answer.text.strip(), row_id(KIND, instruction)
    messages = [("user", instruction), ("assistant", text)]
    return {
        "row_id": row_id(prompt_id, str(answer.sample), text),
        "messages": [{"role": r, "content": c} for r, c in messages] if problem is None else [],
        "instruction": instruction if problem is None else "",
        "response": text if problem is None else "",
        "skill": skill if problem is None else None,
        "prompt_id": prompt_id,
        "sample": answer.sample,
        "prompt": instruction,
        "raw": text,
        "dropped": problem,
        "response_tokens": answer.tokens,
    }


def _metrics(rows: pl.DataFrame) -> dict[str, Any]:
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
        "tokens": int(rows["response_tokens"].sum()),
    }
