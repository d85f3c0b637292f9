"""The two stages in which ARTE's teacher writes: drafts, and tailored training data."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from montessori.arte.elicit import PART, Elicitor, Share, questions_kept
from montessori.arte.prompts import Prompts
from montessori.arte.settings import DraftParams, ElicitParams, TailorParams
from montessori.arte.tasks import Task, read_tasks
from montessori.artifacts.files import folder_digest, new_folder, row_id, write_table
from montessori.artifacts.schemas import DRAFTS, PROBE
from montessori.errors import MontessoriError
from montessori.filters.contamination import require_clean
from montessori.filters.eval_items import read_evals
from montessori.filters.form import FormFilter
from montessori.filters.keeper import Keeper
from montessori.filters.settings import DecontaminationParams
from montessori.generate import Engine
from montessori.generate.engines import open_engine, teacher_facts
from montessori.generate.ledger import read_spending
from montessori.generate.settings import GenerationParams
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import track_progress
from montessori.signals.icl.answers import same_answer, tagged_answer
from montessori.writing.measures import skills
from montessori.writing.settings import FilterParams

if TYPE_CHECKING:
    from montessori.pipeline.stage import Job

Strategy = Literal["naive", "task"]


@dataclass(frozen=True)
class Commission:
    """What a teacher is asked for: `inputs` are teacher, tasks, evals and templates."""

    name: str
    inputs: dict[str, Path]
    work: Path
    seed: int
    generation: GenerationParams
    elicit: ElicitParams
    filter: FilterParams
    decontamination: DecontaminationParams
    open_engine: Callable[[Path], Engine]

    @property
    def ledger(self) -> Path:
        """What a server has answered so far; it belongs to the row's name."""
        return self.work / f"{self.name}.answers.jsonl"


def commission(job: "Job", inputs: tuple[str, ...], filters: FilterParams) -> Commission:
    """What a job asks of its teacher; `inputs` names those of its paths that are read."""
    generation = job.section("generation", GenerationParams)
    return Commission(
        name=job.name,
        inputs={name: getattr(job.paths, name) for name in inputs},
        work=job.work,
        seed=job.seed,
        generation=generation,
        elicit=job.section("elicit", ElicitParams),
        filter=filters,
        decontamination=job.section("decontamination", DecontaminationParams),
        open_engine=partial(open_engine, job.paths.teacher, generation, job.machine, job.secret),
    )


def write_drafts(ask: Commission, draft: DraftParams, out: Path) -> dict[str, Any]:
    """Write `out`: questions of each task, `draft.questions` of them with a kept rationale.

    A question is asked for a rationale by each special reasoning prompt; those without an answer
    are left out, and `incomplete` counts the questions that lack some. Returns metrics. Raises
    MontessoriError when a task does not get that many questions; nothing is then written.
    """
    tasks, prompts = read_tasks(ask.inputs["tasks"]), _prompts(ask)
    wanted = {task.name: draft.questions for task in tasks}
    temperature = ask.elicit.rationale_temperature
    elicitor = _elicitor(ask, "draft", prompts, prompts.reasoning_of, temperature, {})
    written = _write(ask, elicitor, tasks, wanted, draft.attempts, "draft")
    rows = _first_questions(written, wanted)
    facts = _measure(written, rows) | {"incomplete": _incomplete(written, rows)}
    return _finish(ask, elicitor, out, rows.select(list(DRAFTS)), DRAFTS, facts)


def write_tailored(
    ask: Commission, tailor: TailorParams, strategy: Strategy, out: Path
) -> dict[str, Any]:
    """Write the training data `out`, exactly `tailor.rows` kept rows, free of eval items.

    `strategy` naive asks for the solutions by the naive prompt (ARTE), task by one special prompt
    per task (its consistent-strategy control); both greedy. Returns metrics. Raises
    MontessoriError when a task's share is not reached; nothing is then written.
    """
    tasks, prompts = read_tasks(ask.inputs["tasks"]), _prompts(ask)
    each, more = divmod(tailor.rows, len(tasks))
    wanted = {task.name: each + (n < more) for n, task in enumerate(tasks)}

    def reasoning(task: Task) -> tuple[str, ...]:
        return (prompts.naive if strategy == "naive" else prompts.strategy_of(task),)

    used = {task.name: reasoning(task) for task in tasks}
    elicitor = _elicitor(ask, "tailor", prompts, reasoning, 0.0, {"reasoning": used})
    written = _write(ask, elicitor, tasks, wanted, tailor.attempts, "tailor")
    rows = _first_questions(written, wanted)
    return _finish(ask, elicitor, out, _trained(rows, prompts), PROBE, _measure(written, rows))


def _prompts(ask: Commission) -> Prompts:
    return Prompts.load(ask.inputs["templates"], ask.elicit)


def _elicitor(
    ask: Commission,
    stage: str,
    prompts: Prompts,
    reasoning: Callable[[Task], tuple[str, ...]],
    temperature: float,
    params: dict[str, Any],
) -> Elicitor:
    """The writer, with finished waves of the very same work at hand.

    What they hold does not depend on how many are asked for, so that a stage that got too few goes
    on where it was when it may write more.
    """
    ngram, inputs = ask.decontamination.ngram, ask.inputs
    evals, keys = read_evals(inputs["evals"], ngram)
    sections = {type(s).__name__: asdict(s) for s in (ask.generation, ask.elicit, ask.filter)}
    sections["ElicitParams"].pop("templates")  # their texts count, not their place
    settings = {"seed": ask.seed, "ngram": ngram, stage: params}
    digests = {name: folder_digest(path) for name, path in sorted(inputs.items())}
    filters = ask.filter

    def keeper(task: Task) -> Keeper:
        form = FormFilter(
            filters.min_characters, filters.max_characters, filters.banned_words,
            filters.first_character, filters.min_latin, filters.broken_text,
        )  # fmt: skip
        return Keeper(form, filters.rouge_l, [(item.input,) for item in task.seeds], evals)

    return Elicitor(
        open_engine=cache(partial(ask.open_engine, ask.ledger)),
        stage=stage,
        seed=ask.seed,
        prompts=prompts,
        settings=ask.elicit,
        reasoning=reasoning,
        temperature=temperature,
        keeper=keeper,
        eval_keys=keys,
        held_out=read_evals(inputs["tasks"] / "evals", 0),
        parts=Parts(ask.work, parts_digest(settings | sections, digests, PART)),
    )


def _write(
    ask: Commission,
    elicitor: Elicitor,
    tasks: list[Task],
    wanted: dict[str, int],
    attempts: float,
    label: str,
) -> pl.DataFrame:
    """Every row written, of all tasks. Raises MontessoriError where a task gets too few."""
    frames: dict[str, list[pl.DataFrame]] = {task.name: [] for task in tasks}
    with track_progress(sum(wanted.values()), "questions", f"{label} {ask.name}") as progress:
        for share, frame in elicitor.waves(tasks, wanted, attempts):
            frames[share.task.name].append(frame)
            more = questions_kept(frame)
            progress.advance(min(share.kept, share.wanted) - min(share.kept - more, share.wanted))
            if not share.open and share.kept < share.wanted:
                raise _too_few(ask, share, pl.concat(frames[share.task.name]), label)
    written = pl.concat([frame for mine in frames.values() for frame in mine])
    found = written.filter(pl.col("dropped").str.ends_with("eval item"))["question_id"].n_unique()
    require_clean(found, written["question_id"].n_unique(), ask.decontamination.limit,
                  str(ask.inputs["teacher"]))  # fmt: skip
    return written


def _first_questions(written: pl.DataFrame, wanted: dict[str, int]) -> pl.DataFrame:
    """The kept rows of each task's first questions, as many as wanted."""
    kept = written.filter(pl.col("dropped").is_null())
    places = kept.unique("question_id", keep="first", maintain_order=True).with_columns(
        pl.int_range(pl.len()).over("skill").alias("place")
    )
    limit = pl.col("skill").replace_strict(wanted, return_dtype=pl.Int64)
    first = places.filter(pl.col("place") < limit).select("question_id")
    return kept.join(first, on="question_id", how="semi", maintain_order="left")


def _incomplete(written: pl.DataFrame, rows: pl.DataFrame) -> int:
    """How many of the questions of `rows` have dropped rationales, too."""
    kept = rows["question_id"].unique().to_list()
    lost = pl.col("question_id").is_in(kept) & pl.col("dropped").is_not_null()
    return written.filter(lost)["question_id"].n_unique()


def _trained(rows: pl.DataFrame, prompts: Prompts) -> pl.DataFrame:
    """Drafts as training rows: the student answers the question as response.jinja says."""
    records = []
    for row in rows.to_dicts():
        text = prompts.trained(row["response"])
        messages = [("user", row["instruction"]), ("assistant", text)]
        row |= {
            "row_id": row_id(row["question_id"], text),
            "messages": [{"role": role, "content": content} for role, content in messages],
            "response": text,
        }
        records.append({name: row[name] for name in PROBE})
    return pl.DataFrame(records, schema=PROBE)


def _measure(written: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Any]:
    """Metrics of all rows `written` and of the kept `rows`; shares are in [0, 1]."""
    answers = zip(rows["response"], rows["target"], strict=True)
    agree = [same_answer(tagged_answer(text) or "", target) for text, target in answers]
    tokens = pl.col("question_tokens").sum() + pl.col("response_tokens").sum()
    return {
        "questions_written": written["question_id"].n_unique(),
        "questions": rows["question_id"].n_unique(),
        "rows": rows.height,
        "dropped": dict(sorted(Counter(written["dropped"].drop_nulls().to_list()).items())),
        "tokens": int(written.select(tokens).item()),
        "response_tokens": float(rows["response_tokens"].mean() or 0.0),  # type: ignore[arg-type]
        "agree": sum(agree) / max(1, len(agree)),  # rationales that reach the question's target
        "skills": skills(rows),
    }


def _finish(
    ask: Commission,
    elicitor: Elicitor,
    out: Path,
    table: pl.DataFrame,
    schema: Any,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Write the folder, remove the parts and the ledger; the metrics with what a server took."""
    facts = {"rows": table.height, **teacher_facts(ask.inputs["teacher"], ask.generation)}
    cost = read_spending(ask.ledger)
    with new_folder(out, ask.inputs, facts) as folder:
        write_table(table, folder / "rows.parquet", schema)
    elicitor.parts.remove_all()
    ask.ledger.unlink(missing_ok=True)
    return metrics if cost is None else metrics | {"server": cost}


def _too_few(ask: Commission, share: Share, written: pl.DataFrame, section: str) -> MontessoriError:
    reasons = Counter(written["dropped"].drop_nulls().to_list()).most_common(4)
    return MontessoriError(
        f"the task {share.task.name} has {share.kept} of {share.wanted} questions after "
        f"{written['question_id'].n_unique()} were written, the limit",
        where=f"{ask.inputs['teacher']}; dropped: {', '.join(f'{r} {n}' for r, n in reasons)}",
        expected=f"{share.wanted} questions with a rationale whose answer is tagged",
        next=f"raise {section}.attempts, ask for fewer, loosen the filter that drops most, or "
        "compare elicit.templates with what the teacher understands",
    )
