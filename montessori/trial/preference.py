"""A question on a teacher in training: one step of DPO on pairs in the settings' format."""

import math
from dataclasses import replace

import polars as pl

from montessori.artifacts.files import new_folder, row_id, write_table
from montessori.artifacts.schemas import PAIRS
from montessori.formats.formats import FORMATS, FormatName
from montessori.formats.prompts import load_template
from montessori.formats.recorded import format_facts
from montessori.formats.tags import tag_turns
from montessori.sources.rows.row import Row
from montessori.train.dpo import train_teacher
from montessori.train.settings import TeacherDpoParams
from montessori.trial.candidate import Candidate
from montessori.trial.cost import measured_step, require_room
from montessori.trial.findings import Finding
from montessori.trial.training import ADAM
from montessori.writing.settings import InstructionParams


def ask_dpo(candidate: Candidate) -> list[Finding]:
    """One step of the stage `teacher-dpo`: at first policy and reference are equal, loss ln 2."""
    require_room(candidate, ADAM, "DPO")
    settings = candidate.settings
    params = settings.section("teacher_dpo", TeacherDpoParams)
    pairs, frame = candidate.work / "pairs", _make_pairs(candidate)
    name = settings.section("instruction", InstructionParams).format
    with new_folder(pairs, {}, format_facts(name)) as folder:
        write_table(frame, folder / "pairs.parquet", PAIRS)
    with measured_step(candidate, "teacher_dpo", 2 * frame.height * _pair_length(candidate, frame)):
        metrics = train_teacher(
            candidate.folder,
            pairs,
            candidate.work / "teacher",
            candidate.work / "dpo.csv",
            replace(params, epochs=1, batch=frame.height),
            settings.seed,
            settings.machine,
        )
    loss = float(metrics["loss_first"])
    if abs(loss - math.log(2)) > 0.01:
        return [
            Finding(
                "dpo",
                "problem",
                f"the first loss is {loss:.4f}, not ln 2 = 0.6931: policy and reference differ "
                "before any step",
                "dropout or another number format is at work: report the model's config.json",
            )
        ]
    return [Finding("dpo", "ok", f"one step on {frame.height} pairs, first loss {loss:.4f} = ln 2")]


def _make_pairs(candidate: Candidate) -> pl.DataFrame:
    """Two pairs of seed instructions, in the prompt that a probe in the settings' format shows."""
    params = candidate.settings.section("instruction", InstructionParams)
    template = load_template(
        candidate.settings.path(params.template), ends_with_examples=params.format == "list"
    )
    shown = [row.messages for row in candidate.seeds[4 : 4 + max(1, params.seed_examples)]]
    prompt = FORMATS[params.format].write_prompt(shown, template, candidate.tokenizer)
    texts = [_raw_text(row, params.format) for row in candidate.seeds[:4]]
    pairs = []
    for k in range(2):
        chosen, rejected = texts[2 * k], texts[2 * k + 1]
        values = (str(k), "p", prompt, chosen, rejected, row_id(chosen), row_id(rejected), 1.0, 0.0)
        pairs.append(dict(zip(PAIRS, values, strict=True)))
    return pl.DataFrame(pairs, schema=dict(PAIRS))


def _raw_text(row: Row, name: FormatName) -> str:
    """The instruction of a row as a teacher would write it in that format."""
    return row.turns[0] if name in ("list", "turn") else tag_turns(row.turns)


def _pair_length(candidate: Candidate, frame: pl.DataFrame) -> int:
    columns = (frame["prompt"], frame["chosen"], frame["rejected"])
    texts = [p + max(c, r, key=len) for p, c, r in zip(*columns, strict=True)]
    return max(len(ids) for ids in candidate.tokenizer(texts)["input_ids"])
