"""The two stages in which ARTE's teacher writes: drafts, and tailored training data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from montessori.arte.elicit import PART, Elicitor, Quota, count_questions
from montessori.arte.prompts import Prompts
from montessori.arte.settings import DraftParams, ElicitParams, TailorParams
from montessori.arte.tasks import Task, read_tasks
from montessori.artifacts.dialogue import build_dialogue
from montessori.artifacts.files import make_table, row_id
from montessori.artifacts.schemas import DRAFTS, PROBE
from montessori.errors import MontessoriError
from montessori.filters.contamination import EvalItems, require_clean
from montessori.filters.eval_items import read_evals
from montessori.filters.keeper import Keeper
from montessori.filters.settings import DecontaminationParams
from montessori.formats.recorded import format_facts
from montessori.progress import track_progress
from montessori.signals.icl.answers import is_same_answer, tagged_answer
from montessori.writing.causes import show_text
from montessori.writing.collapse import list_reasons
from montessori.writing.measures import count_skills, count_thoughts, mean_known, sum_known
from montessori.writing.order import Order
from montessori.writing.produce import make_keeper
from montessori.writing.settings import FilterParams

Strategy = Literal["naive", "task"]


@dataclass(frozen=True)
class QuestionSettings:
    """The sections that say how questions and rationales are written, and which are kept."""

    elicit: ElicitParams
    filter: FilterParams
    decontamination: DecontaminationParams


def write_drafts(
    order: Order, settings: QuestionSettings, draft: DraftParams, out: Path
) -> dict[str, Any]:
    """Write `out`: questions of each task, `draft.questions` of them with a kept rationale.

    `order.inputs` are teacher, tasks, evals and templates. A question gets a rationale by each
    special reasoning prompt. Rationales without an answer are dropped; the metric `incomplete`
    counts the questions that lack some. Returns metrics. Raises MontessoriError when a task does
    not get that many questions; nothing is then written.
    """
    tasks = read_tasks(order.inputs["tasks"])
    prompts = Prompts.read_folder(order.inputs["templates"], settings.elicit)
    wanted = {task.name: draft.questions for task in tasks}
    reasoning = {task.name: prompts.reasoning_of(task) for task in tasks}
    temperature = settings.elicit.rationale_temperature
    elicitor = _make_elicitor(order, settings, "draft", prompts, reasoning, temperature)
    written = _write_questions(order, settings, elicitor, tasks, wanted, draft.attempts)
    rows = _take_first_questions(written, wanted)
    metrics = _measure_questions(written, rows) | {"incomplete": _count_incomplete(written, rows)}
    facts = format_facts(settings.elicit.format)
    order.write_rows(out, rows.select(list(DRAFTS)), DRAFTS, facts)
    return order.clear_work(elicitor.parts, metrics)


def write_tailored(
    order: Order, settings: QuestionSettings, tailor: TailorParams, strategy: Strategy, out: Path
) -> dict[str, Any]:
    """Write the training data `out`, exactly `tailor.rows` kept rows, free of eval items.

    With `strategy` naive the naive prompt asks for the solutions (ARTE), with task one special
    prompt per task (its consistent-strategy control); both greedily. Returns metrics. Raises
    MontessoriError when a task's share is not reached; nothing is then written.
    """
    tasks = read_tasks(order.inputs["tasks"])
    prompts = Prompts.read_folder(order.inputs["templates"], settings.elicit)
    each, more = divmod(tailor.rows, len(tasks))
    wanted, reasoning = {}, {}
    for number, task in enumerate(tasks):
        # The first tasks get one more each, so that the shares sum to the rows.
        wanted[task.name] = each + (number < more)
        reasoning[task.name] = (
            (prompts.naive,) if strategy == "naive" else (prompts.strategy_of(task),)
        )
    elicitor = _make_elicitor(order, settings, "tailor", prompts, reasoning, temperature=0.0)
    written = _write_questions(order, settings, elicitor, tasks, wanted, tailor.attempts)
    rows = _take_first_questions(written, wanted)
    metrics = _measure_questions(written, rows)
    facts = format_facts(settings.elicit.format)
    order.write_rows(out, _make_training_rows(rows, prompts), PROBE, facts)
    return order.clear_work(elicitor.parts, metrics)


def _make_elicitor(
    order: Order,
    settings: QuestionSettings,
    stage: str,
    prompts: Prompts,
    reasoning: Mapping[str, Sequence[str]],
    temperature: float,
) -> Elicitor:
    """The writer of a stage, with the finished waves of exactly the same work at hand.

    The waves do not depend on how many questions are wanted. So a stage that got too few questions
    continues from its waves when it may write more.
    """
    ngram = settings.decontamination.ngram
    evals, eval_keys = read_evals(order.inputs["evals"], ngram)
    depends: dict[str, Any] = {"ngram": ngram, stage: {"reasoning": reasoning}}
    for section in (order.generation, settings.elicit, settings.filter):
        depends[type(section).__name__] = asdict(section)
    # The templates' texts are among the inputs; where the folder lies does not matter.
    depends["ElicitParams"].pop("templates")
    if settings.elicit.format == "tags":
        # The format of parts that were written when there was no other.
        depends["ElicitParams"].pop("format")
    return Elicitor(
        open_engine=order.lazy_engine(),
        stage=stage,
        seed=order.seed,
        prompts=prompts,
        settings=settings.elicit,
        reasoning=reasoning,
        temperature=temperature,
        make_keeper=lambda task: _make_task_keeper(settings.filter, task, evals),
        eval_keys=eval_keys,
        # 0: by whole texts only, as questions of a task often share long runs of words.
        held_out=read_evals(order.inputs["tasks"] / "evals", 0),
        parts=order.open_parts(depends, PART),
    )


def _make_task_keeper(filters: FilterParams, task: Task, evals: EvalItems) -> Keeper:
    """The filters of a task; its seed questions may not be written again."""
    return make_keeper(filters, [(item.input,) for item in task.seeds], evals)


def _write_questions(
    order: Order,
    settings: QuestionSettings,
    elicitor: Elicitor,
    tasks: Sequence[Task],
    wanted: Mapping[str, int],
    attempts: float,
) -> pl.DataFrame:
    """Every row written, of all tasks in turn (PART).

    Raises MontessoriError where a task gets too few questions, or too many are eval items.
    """
    frames: dict[str, list[pl.DataFrame]] = {task.name: [] for task in tasks}
    with track_progress(
        sum(wanted.values()), "questions", f"{elicitor.stage} {order.name}"
    ) as progress:
        for quota, frame in elicitor.write_waves(tasks, wanted, attempts):
            frames[quota.task.name].append(frame)
            kept_before = quota.kept - count_questions(frame)
            progress.advance(min(quota.kept, quota.wanted) - min(kept_before, quota.wanted))
            # At once: the stage fails anyway, and the other tasks' waves would cost time for
            # nothing.
            if not quota.is_open and quota.kept < quota.wanted:
                written = pl.concat(frames[quota.task.name])
                raise _too_few_questions(order, quota, written, elicitor.stage)
    # Waves came in turns of the tasks; a dataset has one task after the other.
    in_task_order: list[pl.DataFrame] = []
    for waves in frames.values():
        in_task_order += waves
    written = pl.concat(in_task_order)
    matches = written.filter(pl.col("dropped").str.ends_with("eval item"))
    require_clean(
        matches["question_id"].n_unique(),
        written["question_id"].n_unique(),
        settings.decontamination.limit,
        str(order.inputs["teacher"]),
    )
    return written


def _take_first_questions(written: pl.DataFrame, wanted: Mapping[str, int]) -> pl.DataFrame:
    """The kept rows of each task's first questions, as many as wanted."""
    kept = written.filter(pl.col("dropped").is_null())
    place = pl.int_range(pl.len()).over("skill")
    questions = kept.unique("question_id", keep="first", maintain_order=True).with_columns(
        place.alias("place")
    )
    # The last wave of a task may have brought more questions than wanted.
    limit = pl.col("skill").replace_strict(dict(wanted), return_dtype=pl.Int64)
    first = questions.filter(pl.col("place") < limit).select("question_id")
    return kept.join(first, on="question_id", how="semi", maintain_order="left")


def _count_incomplete(written: pl.DataFrame, rows: pl.DataFrame) -> int:
    """How many questions of `rows` also have dropped rationales."""
    questions = rows["question_id"].unique().to_list()
    lost = pl.col("question_id").is_in(questions) & pl.col("dropped").is_not_null()
    return written.filter(lost)["question_id"].n_unique()


def _make_training_rows(drafts: pl.DataFrame, prompts: Prompts) -> pl.DataFrame:
    """Drafts as PROBE rows: the student answers the question as response.jinja says."""
    records = []
    for draft in drafts.to_dicts():
        response = prompts.render_response(draft["response"])
        row = draft | {
            "row_id": row_id(draft["question_id"], response),
            "messages": build_dialogue([draft["instruction"]], [response]),
            "response": response,
        }
        records.append({name: row[name] for name in PROBE})
    return make_table(records, PROBE)


def _measure_questions(written: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Any]:
    """Metrics of all rows `written` and of the kept `rows`; shares are in [0, 1].

    `agree` is the share of rationales that reach the target the teacher gave the question.
    """
    agreeing = 0
    for response, target in rows.select("response", "target").iter_rows():
        agreeing += is_same_answer(tagged_answer(response) or "", target)
    return {
        "questions_written": written["question_id"].n_unique(),
        "questions": rows["question_id"].n_unique(),
        "rows": rows.height,
        "dropped": dict(sorted(_count_dropped(written).items())),
        "tokens": sum_known(written, "question_tokens", "response_tokens"),
        "response_tokens": mean_known(rows, "response_tokens"),
        "agree": agreeing / max(1, rows.height),
        "skills": count_skills(rows),
        **count_thoughts(written),
    }


def _count_dropped(written: pl.DataFrame) -> Counter[str]:
    return Counter(written["dropped"].drop_nulls().to_list())


def _too_few_questions(
    order: Order, quota: Quota, written: pl.DataFrame, section: str
) -> MontessoriError:
    lost = written.filter(pl.col("dropped").is_not_null())["raw"].head(3).to_list()
    return MontessoriError(
        f"the task {quota.task.name} has {quota.kept} of {quota.wanted} questions after "
        f"{written['question_id'].n_unique()} were written, the limit",
        where=f"{order.inputs['teacher']}; dropped: {list_reasons(_count_dropped(written))}; "
        f"texts: {', '.join(show_text(text) for text in lost)}",
        expected=f"{quota.wanted} questions with a rationale whose answer is tagged",
        next=f"raise {section}.attempts, ask for fewer, loosen the filter that drops most, or "
        "compare elicit.templates with what the teacher understands; for a teacher that writes no "
        "tags set elicit.format: prefill",
    )
