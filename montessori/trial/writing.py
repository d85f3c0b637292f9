"""Questions on a teacher: which writing formats does it manage, and does it answer?"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

import montessori
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems
from montessori.formats.formats import FORMATS, FormatName
from montessori.formats.prompts import load_template
from montessori.generate.engine import Engine
from montessori.generate.engines import open_engine
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts
from montessori.pipeline.stage import Job
from montessori.trial.candidate import Candidate
from montessori.trial.findings import Finding, Verdict, show_text
from montessori.trial.rows import ROWS
from montessori.writing.causes import INVALID
from montessori.writing.produce import make_keeper
from montessori.writing.settings import FilterParams, InstructionParams, ResponseParams
from montessori.writing.waves import PART, RESPONSE, Writer

SAMPLES = 4  # of a prompt
#: Which format is named first, of a model with a chat template of its own and of one without.
CHAT: tuple[FormatName, ...] = ("tags", "prefill", "turn", "list")
PLAIN: tuple[FormatName, ...] = ("tags", "list", "prefill", "turn")
SHORT = 128  # tokens of an instruction in a format that the settings do not name
TEMPLATES = Path(montessori.__file__).parent / "templates"


@dataclass(frozen=True)
class Tried:
    """What a teacher wrote in one format: `frame` is a PART table, `error` why there is none."""

    format: FormatName
    frame: pl.DataFrame
    error: str = ""

    @property
    def unread(self) -> list[str]:
        """Why samples hold no instruction, one reason each."""
        reasons = self.frame["dropped"].to_list()
        return [reason for reason in reasons if reason in INVALID and not _is_of_response(reason)]

    @property
    def read(self) -> int:
        """Samples that hold an instruction."""
        return self.frame.height - len(self.unread)

    @property
    def kept(self) -> int:
        """Instructions that pass the filters, whatever the answers to them."""
        reasons = self.frame["dropped"].to_list()
        return sum(reason is None or _is_of_response(reason) for reason in reasons)

    def describe(self) -> str:
        """The counts, and two texts."""
        if self.error:
            return f"{self.format:<7}  cannot be asked: {self.error}"
        texts = [show_text(raw, 90) for raw in _choose_texts(self.frame)]
        counts = f"{self.read} of {self.frame.height} read, {self.kept} pass the filters"
        return f"{self.format:<7}  {counts}: {', '.join(texts)}"


def ask_writing(candidate: Candidate) -> list[Finding]:
    """Eight samples of the stage `probe` in each format that the model can be asked in."""
    engine = open_writer(candidate)
    wanted = candidate.settings.section("instruction", InstructionParams).format
    tried = {name: _try_format(candidate, engine, name) for name in (wanted, *_others(wanted))}
    if engine.tokenizer is None:  # the other formats need one
        tried = {name: found for name, found in tried.items() if name == wanted}
    order = PLAIN if candidate.is_base else CHAT
    found = _judge_formats(sorted(tried.values(), key=lambda one: order.index(one.format)), wanted)
    return [found, *_judge_responses(tried[wanted].frame)]


def open_writer(candidate: Candidate) -> Engine:
    """The engine that the section `generation` names, for the model under trial."""
    settings = candidate.settings
    generation = settings.section("generation", GenerationParams)
    ledger = candidate.work / "answers.jsonl"
    return open_engine(candidate.folder, generation, settings.machine, Job.secret, ledger)


def _others(wanted: FormatName) -> list[FormatName]:
    return [name for name in FORMATS if name != wanted]


def _try_format(candidate: Candidate, engine: Engine, name: FormatName) -> Tried:
    try:
        return Tried(name, _write_samples(candidate, engine, name))
    except MontessoriError as error:
        return Tried(name, pl.DataFrame(schema=dict(PART)), error.what)


def _write_samples(candidate: Candidate, engine: Engine, name: FormatName) -> pl.DataFrame:
    """One wave of the stage's own writer as a PART table; answers only in the settings' format."""
    settings = candidate.settings
    params = settings.section("instruction", InstructionParams)
    response = settings.section("response", ResponseParams)
    most = params.max_new_tokens
    if name != params.format:
        most, response = min(SHORT, most), replace(response, max_new_tokens=1)
    shown = max(1, min(params.seed_examples, len(candidate.seeds)))
    writer = Writer(
        open_engine=lambda: engine,
        stage="probe",
        seed=settings.seed,
        template=_template_for(candidate, name),
        seeds=[row.messages for row in candidate.seeds],
        instruction=replace(
            params,
            format=name,
            samples=SAMPLES,
            seed_examples=shown,
            kept_examples=0,
            max_new_tokens=most,
        ),
        response=response,
        keeper=make_keeper(settings.section("filter", FilterParams), [], EvalItems(0)),
        parts=Parts(candidate.work, f"trial-{name}"),
    )
    return pl.concat(list(writer.write_waves(ROWS // SAMPLES))).select(list(PART))


def _template_for(candidate: Candidate, name: FormatName) -> str:
    """The settings' template; for a list beside another format, and the reverse, the package's."""
    params = candidate.settings.section("instruction", InstructionParams)
    is_list = name == "list"
    if is_list == (params.format == "list"):
        path = candidate.settings.path(params.template)
    else:
        path = TEMPLATES / ("list.jinja" if is_list else "instruction.jinja")
    return load_template(path, ends_with_examples=is_list)


def _judge_formats(tried: Sequence[Tried], wanted: FormatName) -> Finding:
    """The settings' format must give usable instructions; else the best of the others is named.

    Of equally good ones it is the first of `tried`.
    """
    chosen = next(one for one in tried if one.format == wanted)
    lines = tuple(one.describe() for one in tried)
    reasons = Counter(chosen.unread).most_common()
    listed = f" ({', '.join(f'{count} {reason}' for reason, count in reasons)})" if reasons else ""
    text = (
        f"instruction.format {wanted}: {chosen.read} of {chosen.frame.height} samples are "
        f"instructions{listed}, {chosen.kept} pass the filters"
    )
    if not chosen.error and 2 * chosen.read >= chosen.frame.height and chosen.kept:
        return Finding("writing", "ok", text, lines=lines)
    verdict: Verdict = "note" if chosen.kept else "problem"
    best = max(tried, key=lambda one: (one.kept, one.read))
    if best.kept > chosen.kept:
        example = " and instruction.template: montessori/templates/list.jinja"
        advice = f"set instruction.format: {best.format}{example if best.format == 'list' else ''}"
    else:
        advice = _advice(chosen.unread)
    return Finding("writing", verdict, text, advice, lines)


def _advice(unread: list[str]) -> str:
    """What helps against the most frequent reason, where no other format does better."""
    frequent = Counter(unread).most_common(1)
    return {
        "endless": "raise instruction.max_new_tokens; if the text goes on and on, see `template` "
        "for the end of turn",
        "special token": "see `template`: the model goes on behind the end of its turn",
    }.get(
        frequent[0][0] if frequent else "",
        "take a larger model as teacher, or look at the filters: none of the formats gives more",
    )


def _choose_texts(frame: pl.DataFrame) -> list[str]:
    """Two samples, of different kinds where there are several."""
    rows = frame.select("raw", "dropped").rows()
    by_kind = {reason in INVALID: raw for raw, reason in reversed(rows)}
    texts = [*by_kind.values(), *(raw for raw, _ in rows)]
    return list(dict.fromkeys(texts))[:2]


def _is_of_response(reason: str | None) -> bool:
    """Whether a row was dropped for its response, its instruction being read."""
    return reason is not None and reason.startswith(RESPONSE)


def _judge_responses(frame: pl.DataFrame) -> list[Finding]:
    kept = frame.filter(pl.col("dropped").is_null())
    bad = [reason for reason in frame["dropped"].to_list() if _is_of_response(reason)]
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
