"""The two stages in which a teacher writes: probing data and datasets."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import polars as pl

from montessori.artifacts.files import folder_digest, new_folder, write_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, require_clean
from montessori.filters.eval_items import read_evals
from montessori.filters.form import FormFilter
from montessori.filters.keeper import Keeper
from montessori.filters.settings import DecontaminationParams
from montessori.generate import Engine
from montessori.generate.engines import teacher_facts
from montessori.generate.ledger import read_spending
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import track_progress
from montessori.writing.collapse import EARLY, Tally, require_sound
from montessori.writing.examples import read_seeds
from montessori.writing.measures import OTHER, count, measure, skills
from montessori.writing.prompts import load_template
from montessori.writing.settings import (
    CollapseParams,
    FilterParams,
    InstructionParams,
    ProbeParams,
    ResponseParams,
    SynthParams,
)
from montessori.writing.waves import PART, RESPONSE, Writer


@dataclass(frozen=True)
class Assignment:
    """Who writes, from what, and how.

    `inputs` are the artifacts by name: teacher, seeds, template and, for a dataset, evals; how
    those are kept out says `decontamination`. `open_engine` opens the teacher, with the file for a
    server's answers; it is called only if there is something left to write.
    """

    name: str
    inputs: dict[str, Path]
    work: Path
    seed: int
    generation: GenerationParams
    instruction: InstructionParams
    response: ResponseParams
    filter: FilterParams
    collapse: CollapseParams
    open_engine: Callable[[Path], Engine]
    decontamination: DecontaminationParams = DecontaminationParams(ngram=0, limit=1.0)

    @property
    def ledger(self) -> Path:
        """What a server has answered so far, and what it cost.

        It belongs to the row's name, not to the digest of its parts: after a change of a filter,
        say, what was paid for is still there.
        """
        return self.work / f"{self.name}.answers.jsonl"


def write_probe(task: Assignment, probe: ProbeParams, out: Path) -> dict[str, object]:
    """Write probing data: every sample of `probe.prompts` prompts is a row of `out`.

    Returns the metrics. Raises MontessoriError when the teacher has collapsed; `out` is then not
    written.
    """
    writer = _writer(task, "probe", asdict(probe))
    tally, waves = Tally(), []
    with track_progress(probe.prompts, "prompts", f"probe {task.name}") as progress:
        for frame in writer.waves(probe.prompts):
            waves.append(frame)
            _inspect(tally, frame, task)
            progress.advance(frame["prompt_id"].n_unique(), kept=tally.kept)
    _require_good(tally, task)
    written = pl.concat(waves)
    rows = written.filter(pl.col("dropped").is_null())
    return _finish(task, writer, out, written.select(list(PROBE)), measure(written, rows, tally))


def write_dataset(task: Assignment, synth: SynthParams, out: Path, plot: Path) -> dict[str, object]:
    """Write exactly `synth.rows` kept rows to `out` and rows per skill to the CSV file `plot`.

    Returns the metrics. Raises MontessoriError when the teacher has collapsed or writes too many
    eval items, or when the samples allowed by `synth.attempts` do not suffice; nothing is then
    written.
    """
    writer = _writer(task, "synth", asdict(synth))
    prompts = math.ceil(synth.attempts * synth.rows / task.instruction.samples)
    tally, waves = Tally(), []
    with track_progress(synth.rows, "rows", f"synth {task.name}") as progress:
        for frame in writer.waves(prompts):
            waves.append(frame)
            before = min(tally.kept, synth.rows)
            _inspect(tally, frame, task)
            progress.advance(min(tally.kept, synth.rows) - before, samples=tally.samples)
            if tally.kept >= synth.rows:
                break
    _require_good(tally, task)
    if tally.kept < synth.rows:
        raise _too_few(task, synth, tally)
    written = pl.concat(waves)
    rows = written.filter(pl.col("dropped").is_null()).head(synth.rows)
    metrics = measure(written, rows, tally)
    metrics = _finish(task, writer, out, rows.select(list(PROBE)), metrics)
    _write_skills(rows, plot)
    return metrics


def _writer(task: Assignment, stage: str, params: dict[str, object]) -> Writer:
    """The wave writer, with finished waves of the very same work at hand."""
    template = load_template(task.inputs["template"])
    seeds = read_seeds(task.inputs["seeds"])
    ngram = task.decontamination.ngram
    evals, keys = EvalItems(ngram), frozenset[str]()
    if "evals" in task.inputs:
        evals, keys = read_evals(task.inputs["evals"], ngram)
    sections = (task.generation, task.instruction, task.response, task.filter)
    settings = {type(section).__name__: asdict(section) for section in sections}
    settings["InstructionParams"].pop("template")  # its text counts, not its place
    digests = {name: folder_digest(path) for name, path in sorted(task.inputs.items())}
    settings[stage] = params | {"ngram": ngram}
    digest = parts_digest({"seed": task.seed, **settings}, digests, PART)
    filters = task.filter
    form = FormFilter(
        filters.min_characters,
        filters.max_characters,
        filters.banned_words,
        filters.first_character,
        filters.min_latin,
        filters.broken_text,
    )
    return Writer(
        open_engine=cache(partial(task.open_engine, task.ledger)),
        stage=stage,
        seed=task.seed,
        template=template,
        seeds=seeds,
        instruction=task.instruction,
        response=task.response,
        keeper=Keeper(form, filters.rouge_l, seeds, evals),
        parts=Parts(task.work, digest),
        eval_keys=keys,
    )


def _inspect(tally: Tally, frame: pl.DataFrame, task: Assignment) -> None:
    """Count a wave, and stop early if what the teacher writes is no good."""
    count(tally, frame)
    if tally.samples >= EARLY:
        _require_good(tally, task)


def _require_good(tally: Tally, task: Assignment) -> None:
    """Raise MontessoriError if the teacher has collapsed or writes too many eval items."""
    teacher = str(task.inputs["teacher"])
    require_sound(tally, task.collapse, teacher)
    matches = tally.dropped["eval item"] + tally.dropped[f"{RESPONSE}eval item"]
    require_clean(matches, tally.samples, task.decontamination.limit, teacher)


def _finish(
    task: Assignment,
    writer: Writer,
    out: Path,
    table: pl.DataFrame,
    metrics: dict[str, object],
) -> dict[str, object]:
    """Write the folder, remove the parts and the ledger; the metrics with what a server took."""
    facts = {"rows": table.height, **teacher_facts(task.inputs["teacher"], task.generation)}
    cost = read_spending(task.ledger)
    with new_folder(out, task.inputs, facts) as folder:
        write_table(table, folder / "rows.parquet", PROBE)
    writer.parts.remove_all()
    task.ledger.unlink(missing_ok=True)
    return metrics if cost is None else metrics | {"server": cost}


def _too_few(task: Assignment, synth: SynthParams, tally: Tally) -> MontessoriError:
    reasons = ", ".join(f"{reason} {n}" for reason, n in tally.dropped.most_common(4))
    return MontessoriError(
        f"{tally.kept} of {synth.rows} rows after {tally.samples} samples, the limit",
        where=f"dataset {task.name}; dropped: {reasons}",
        expected=f"{synth.rows} kept rows within {synth.attempts:g} samples a row",
        next="raise synth.attempts, lower synth.rows, or loosen the filter that drops most",
    )


def _write_skills(rows: pl.DataFrame, plot: Path) -> None:
    counts = skills(rows) or {OTHER: 0}
    plot.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"skill": list(counts), "rows": list(counts.values())})
    frame.write_csv(plot)
