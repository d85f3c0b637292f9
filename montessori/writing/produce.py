"""The two stages in which a teacher writes rows: probing data and datasets."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.atomic import write_text
from montessori.artifacts.dialogue import Turns, join_system, system_prompts, user_turns
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, require_clean
from montessori.filters.eval_items import read_evals
from montessori.filters.form import FormFilter
from montessori.filters.keeper import Keeper
from montessori.filters.settings import DecontaminationParams
from montessori.formats.formats import FORMATS, Example
from montessori.formats.prompts import load_template
from montessori.formats.recorded import format_facts
from montessori.models.lineage import is_tuned
from montessori.progress import track_progress
from montessori.writing.collapse import (
    EARLY,
    Tally,
    require_no_collapse,
    require_something,
    writing_error,
)
from montessori.writing.examples import read_seeds
from montessori.writing.measures import OTHER, count_samples, count_skills, measure_rows
from montessori.writing.order import Order
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ProbeParams,
    ResponseParams,
    SynthParams,
)
from montessori.writing.waves import PART, RESPONSE, Writer

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job


@dataclass(frozen=True)
class WritingSettings:
    """The sections that say how instructions and responses are written, and which are kept."""

    instruction: InstructionParams
    response: ResponseParams
    filter: FilterParams
    collapse: CollapseParams
    decontamination: DecontaminationParams


def read_writing_settings(job: "Job") -> WritingSettings:
    """The settings of a job, from its sections of params.yaml."""
    return WritingSettings(
        instruction=job.section("instruction", InstructionParams),
        response=job.section("response", ResponseParams),
        filter=job.section("filter", FilterParams),
        collapse=job.section("collapse", CollapseParams),
        decontamination=job.section("decontamination", DecontaminationParams),
    )


def write_probe(
    order: Order, settings: WritingSettings, probe: ProbeParams, out: Path
) -> dict[str, Any]:
    """Write probing data: every sample of `probe.prompts` prompts is a row of `out`.

    `order.inputs` are teacher, seeds, template and, if no eval item may be written, evals. Returns
    the metrics. Raises MontessoriError when the teacher writes nothing of use; `out` is then not
    written.
    """
    writer = _make_writer(order, settings, "probe", asdict(probe))
    tally, waves = Tally(FORMATS[settings.instruction.format]), []
    with track_progress(probe.prompts, "prompts", f"probe {order.name}") as progress:
        for wave in writer.write_waves(probe.prompts):
            waves.append(wave)
            _inspect_wave(tally, wave, order, settings)
            progress.advance(wave["prompt_id"].n_unique(), kept=tally.kept)
    _require_good(tally, order, settings)
    require_something(tally, str(order.inputs["teacher"]), is_tuned(order.inputs["teacher"]))
    written = pl.concat(waves)
    kept = written.filter(pl.col("dropped").is_null())
    # A probe holds the dropped samples too, so that its readers see what the teacher wrote.
    facts = format_facts(settings.instruction.format)
    order.write_rows(out, written.select(list(PROBE)), PROBE, facts)
    return order.clear_work(writer.parts, measure_rows(written, kept, tally))


def write_dataset(
    order: Order, settings: WritingSettings, synth: SynthParams, out: Path, plot: Path
) -> dict[str, Any]:
    """Write exactly `synth.rows` kept rows to `out` and rows per skill to the CSV file `plot`.

    Inputs as for `write_probe`. Returns the metrics. Raises MontessoriError when the teacher has
    collapsed or writes too many eval items, or when the samples allowed by `synth.attempts` do not
    suffice; nothing is then written.
    """
    writer = _make_writer(order, settings, "synth", asdict(synth))
    prompts = math.ceil(synth.attempts * synth.rows / settings.instruction.samples)
    tally, waves = Tally(FORMATS[settings.instruction.format]), []
    with track_progress(synth.rows, "rows", f"synth {order.name}") as progress:
        for wave in writer.write_waves(prompts):
            waves.append(wave)
            kept_before = min(tally.kept, synth.rows)
            _inspect_wave(tally, wave, order, settings)
            progress.advance(min(tally.kept, synth.rows) - kept_before, samples=tally.samples)
            if tally.kept >= synth.rows:
                break
    _require_good(tally, order, settings)
    if tally.kept < synth.rows:
        raise _too_few_rows(order, synth, tally)
    written = pl.concat(waves)
    rows = written.filter(pl.col("dropped").is_null()).head(synth.rows)
    metrics = measure_rows(written, rows, tally)
    facts = format_facts(settings.instruction.format)
    order.write_rows(out, rows.select(list(PROBE)), PROBE, facts)
    metrics = order.clear_work(writer.parts, metrics)
    _write_skills(rows, plot)
    return metrics


def known_turns(seeds: Sequence[Example]) -> list[Turns]:
    """The user turns of seeds, and those with their system prompt, as prompts show them."""
    shown = [user_turns(join_system(each)) for each in seeds if system_prompts(each)]
    return [user_turns(each) for each in seeds] + shown


def make_keeper(filters: FilterParams, known: Sequence[Turns], evals: EvalItems) -> Keeper:
    """The filters of section `filter`; `known` rows count as earlier ones."""
    form = FormFilter(
        filters.min_characters,
        filters.max_characters,
        filters.banned_words,
        filters.first_character,
        filters.min_latin,
        filters.broken_text,
    )
    return Keeper(form, filters.rouge_l, known, evals)


def _make_writer(
    order: Order, settings: WritingSettings, stage: str, params: dict[str, Any]
) -> Writer:
    """The writer of a stage, with the finished waves of exactly the same work at hand."""
    seeds = read_seeds(order.inputs["seeds"])
    ngram = settings.decontamination.ngram
    evals, keys = EvalItems(ngram), frozenset[str]()
    if "evals" in order.inputs:
        evals, keys = read_evals(order.inputs["evals"], ngram)
    depends: dict[str, Any] = {stage: params | {"ngram": ngram}}
    for section in (order.generation, settings.instruction, settings.response, settings.filter):
        depends[type(section).__name__] = asdict(section)
    # The template's text is among the inputs; where the file lies does not matter.
    depends["InstructionParams"].pop("template")
    if settings.instruction.format == "tags":
        # The format of parts that were written when there was no other.
        depends["InstructionParams"].pop("format")
    return Writer(
        open_engine=order.lazy_engine(),
        stage=stage,
        seed=order.seed,
        template=load_template(
            order.inputs["template"], ends_with_examples=settings.instruction.format == "list"
        ),
        seeds=seeds,
        instruction=settings.instruction,
        response=settings.response,
        keeper=make_keeper(settings.filter, known_turns(seeds), evals),
        parts=order.open_parts(depends, PART),
        eval_keys=keys,
    )


def _inspect_wave(
    tally: Tally, wave: pl.DataFrame, order: Order, settings: WritingSettings
) -> None:
    """Count a wave, and stop early when the teacher writes nothing useful."""
    count_samples(tally, wave)
    if tally.samples >= EARLY:
        _require_good(tally, order, settings)


def _require_good(tally: Tally, order: Order, settings: WritingSettings) -> None:
    """Raise MontessoriError if the teacher has collapsed or writes too many eval items."""
    teacher = str(order.inputs["teacher"])
    require_no_collapse(tally, settings.collapse, teacher, is_tuned(order.inputs["teacher"]))
    matches = tally.dropped["eval item"] + tally.dropped[f"{RESPONSE}eval item"]
    require_clean(matches, tally.samples, settings.decontamination.limit, teacher)


def _too_few_rows(order: Order, synth: SynthParams, tally: Tally) -> MontessoriError:
    found = f"{tally.kept} of {synth.rows} rows after {tally.samples} samples, the limit"
    what = f"dataset {order.name} has {found}"
    # Within the limits of section collapse, so tuning has not spoiled the teacher.
    error = writing_error(what, tally, str(order.inputs["teacher"]), tuned=False)
    error.expected = f"{synth.rows} kept rows within {synth.attempts:g} samples a row"
    error.next = f"raise synth.attempts, or lower synth.rows; {error.next}"
    return error


def _write_skills(rows: pl.DataFrame, plot: Path) -> None:
    skills = count_skills(rows) or {OTHER: 0}  # DVC needs a plot with at least one row
    frame = pl.DataFrame({"skill": list(skills), "rows": list(skills.values())})
    write_text(plot, frame.write_csv())
