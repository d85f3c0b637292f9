"""Questions on a teacher: does it write instructions that can be read, and answers to them?"""

from collections import Counter
from dataclasses import replace

import polars as pl

from montessori.filters.contamination import EvalItems
from montessori.formats.prompts import load_template
from montessori.generate.engine import Engine
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts
from montessori.pipeline.stage import Job
from montessori.trial.candidate import Candidate
from montessori.trial.findings import Finding, show_text
from montessori.trial.rows import ROWS
from montessori.writing.causes import INVALID
from montessori.writing.produce import make_keeper
from montessori.writing.settings import FilterParams, InstructionParams, ResponseParams
from montessori.writing.waves import PART, RESPONSE, Writer

SAMPLES = 4  # of a prompt


def ask_writing(candidate: Candidate) -> list[Finding]:
    """Eight samples of the stage `probe`: how many can be read, and what they look like."""
    engine = open_writer(candidate)
    frame = _write_samples(candidate, engine)
    return [_judge_samples(candidate, frame), *_judge_responses(frame)]


def open_writer(candidate: Candidate) -> Engine:
    """The engine that the section `generation` names, for the model under trial."""
    settings = candidate.settings
    generation = settings.section("generation", GenerationParams)
    ledger = candidate.work / "answers.jsonl"
    return open_engine(candidate.folder, generation, settings.machine, Job.secret, ledger)


def _write_samples(candidate: Candidate, engine: Engine) -> pl.DataFrame:
    """One wave of the stage's own writer as a PART table."""
    settings = candidate.settings
    params = settings.section("instruction", InstructionParams)
    seeds = [row.messages for row in candidate.seeds]
    most = min(params.seed_examples, len(seeds))
    writer = Writer(
        open_engine=lambda: engine,
        stage="probe",
        seed=settings.seed,
        template=load_template(settings.path(params.template)),
        seeds=seeds,
        instruction=replace(params, samples=SAMPLES, seed_examples=most, kept_examples=0),
        response=settings.section("response", ResponseParams),
        keeper=make_keeper(settings.section("filter", FilterParams), [], EvalItems(0)),
        parts=Parts(candidate.work, "trial"),
    )
    return pl.concat(list(writer.write_waves(ROWS // SAMPLES))).select(list(PART))


def _judge_samples(candidate: Candidate, frame: pl.DataFrame) -> Finding:
    dropped = frame["dropped"].to_list()
    unread = [reason for reason in dropped if reason in INVALID and not is_of_response(reason)]
    managed = frame.height - len(unread)
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(unread).most_common())
    form = candidate.settings.section("instruction", InstructionParams).format
    text = f"{managed} of {frame.height} samples are instructions in the format {form}"
    lines = tuple(f"{reason or 'read'}: {show_text(raw)}" for raw, reason in _some(frame))
    if 2 * managed >= frame.height:
        return Finding("writing", "ok", text, lines=lines)
    verdict = "problem" if managed == 0 else "note"
    return Finding("writing", verdict, f"{text} ({reasons})", _advice(unread), lines)


def _advice(unread: list[str]) -> str:
    """What helps against the most frequent reason."""
    most = Counter(unread).most_common(1)[0][0]
    return {
        "endless": "raise instruction.max_new_tokens; if the text goes on and on, see `template` "
        "for the end of turn",
        "special token": "see `template`: the model goes on behind the end of its turn",
    }.get(
        most,
        "it does not keep to the format: set instruction.format to prefill, turn or (a base model) "
        "list (docs/how-to/formats.md), or take a larger model as teacher",
    )


def _some(frame: pl.DataFrame) -> list[tuple[str, str | None]]:
    """Three samples, those that cannot be read first."""
    rows = frame.select("raw", "dropped").rows()
    return sorted(rows, key=lambda row: row[1] is None)[:3]


def is_of_response(reason: str | None) -> bool:
    """Whether a row was dropped for its response, its instruction being read."""
    return reason is not None and reason.startswith(RESPONSE)


def _judge_responses(frame: pl.DataFrame) -> list[Finding]:
    kept = frame.filter(pl.col("dropped").is_null())
    bad = [reason for reason in frame["dropped"].to_list() if is_of_response(reason)]
    if not (bad or kept.height):
        return []
    lines = tuple(
        f"{show_text(asked, 80)} -> {show_text(answer, 80)}"
        for asked, answer in kept.select("instruction", "response").head(2).iter_rows()
    )
    text = f"{kept.height} of {kept.height + len(bad)} instructions have a usable answer"
    if len(bad) <= kept.height:
        return [Finding("answers", "ok", text, lines=lines)]
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(bad).most_common())
    next = "raise response.max_new_tokens if answers are endless, else see `template`"
    return [Finding("answers", "note", f"{text} ({reasons})", next, lines)]
