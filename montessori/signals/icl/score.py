"""The scores table of in-context learning: each row as the one demonstration of a student.

Source: ARTE (arXiv 2406.19227), section 3.2: s(q, r) is the student's accuracy on the preference
set with (q, r) as its single demonstration, greedy.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, PROBE, SCORES, Schema
from montessori.errors import MontessoriError
from montessori.pipeline.parts import Parts
from montessori.progress import track_progress
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.measure import Trial, score_trials
from montessori.signals.icl.questions import read_questions, select_questions
from montessori.signals.icl.settings import IclParams
from montessori.signals.scoring import ScoringJob

if TYPE_CHECKING:
    from montessori.signals.icl.student import Student

#: The cost of a part of the table, in each of its rows.
COST: Schema = {"tokens_forward": pl.Int64, "parameters": pl.Int64}
NO_DEMONSTRATION = ""


def score_rows(job: ScoringJob, settings: IclParams) -> dict[str, Any] | None:
    """Write `out`/scores.parquet for the kept rows of the input folder `rows`.

    The other inputs are student, questions and templates. A row whose questions have tasks is
    scored on those of its own task (its skill). Returns metrics, or None for a shard while parts
    of others are missing. Raises MontessoriError when there is no row, no question, or a task
    without questions.
    """
    inputs = job.inputs
    kept = read_table(inputs["rows"] / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    questions = read_questions(inputs["questions"])
    _require_usable(kept, questions, inputs)
    params = asdict(settings)
    params.pop("templates")  # their texts are an input; where the folder lies does not matter
    parts = job.open_parts(params, {**SCORES, **COST})
    frames = _fill_parts(job, parts, kept, questions, settings)
    if frames is None:
        return None
    scores = pl.concat(frames).select(*SCORES)
    metrics = _measure_scores(scores, kept, questions, settings) | {
        "tokens_forward": sum(frame["tokens_forward"][0] for frame in frames),
        "parameters": frames[0]["parameters"][0],
    }
    with new_folder(job.out, inputs, {"rows": kept.height, "measure": settings.measure}) as folder:
        write_table(scores, folder / "scores.parquet", SCORES)
    parts.remove_all()
    return metrics


def _fill_parts(
    job: ScoringJob, parts: Parts, kept: pl.DataFrame, questions: pl.DataFrame, settings: IclParams
) -> list[pl.DataFrame] | None:
    """Score the missing parts of this shard. All parts, or None while those of others are missing.

    The student is only loaded when something is missing.
    """
    starts = range(0, kept.height, settings.rows_per_part)
    missing = [n for n in range(len(starts)) if job.shard.owns_part(n) and not parts.find_part(n)]
    if missing:
        from montessori.signals.icl.student import Student

        texts = Texts.read_folder(job.inputs["templates"], settings)
        student = Student.open(job.inputs["student"], job.machine, settings.stop)
        with track_progress(len(missing), "parts", job.label) as progress:
            for n in missing:
                rows = kept.slice(starts[n], settings.rows_per_part)
                tokens_before = student.tokens
                frame = score_part(student, texts, rows, questions, settings)
                cost = {
                    "tokens_forward": pl.lit(student.tokens - tokens_before, pl.Int64),
                    "parameters": pl.lit(student.parameters, pl.Int64),
                }
                parts.write_part(n, frame.with_columns(**cost))
                progress.advance(1)
    if not all(parts.find_part(n) for n in range(len(starts))):
        return None
    return [parts.read_part(n) for n in range(len(starts))]


def score_part(
    student: "Student",
    texts: Texts,
    rows: pl.DataFrame,
    questions: pl.DataFrame,
    settings: IclParams,
) -> pl.DataFrame:
    """SCORES of some kept rows: on all questions of a row, then on each skill of theirs."""
    trials = []
    for messages, skill in rows.select("messages", "skill").iter_rows():
        own = select_questions(questions, skill, settings.questions)
        trials.append(Trial(texts.render_dialogue(messages), own))
    values = score_trials(student, texts, trials, settings)
    neutral = _score_without_demonstration(student, texts, rows, questions, settings)
    records: list[dict[str, Any]] = []
    for n, row in enumerate(rows.select("row_id", "prompt_id", "skill").iter_rows(named=True)):
        own_neutral = neutral.get(row["skill"], [None] * len(values[n]))
        table = (
            trials[n]
            .questions.select("skill")
            .with_columns(
                pl.Series("score", values[n], dtype=pl.Float64),
                pl.Series("neutral", own_neutral, dtype=pl.Float64),
            )
        )
        ids = {"row_id": row["row_id"], "prompt_id": row["prompt_id"]}
        records += [ids | reference for reference in _average_references(table)]
    return pl.DataFrame(records, schema=SCORES)


def _score_without_demonstration(
    student: "Student",
    texts: Texts,
    rows: pl.DataFrame,
    questions: pl.DataFrame,
    settings: IclParams,
) -> dict[str | None, list[float]]:
    """The neutral value of each question, by the skill of the rows; empty where none is wanted."""
    if settings.neutral != "zero-shot":
        return {}
    skills = list(dict.fromkeys(rows["skill"]))
    trials = []
    for skill in skills:
        own = select_questions(questions, skill, settings.questions)
        trials.append(Trial(NO_DEMONSTRATION, own))
    return dict(zip(skills, score_trials(student, texts, trials, settings), strict=True))


def _average_references(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Means over all questions and over each skill, in the order of their first question."""
    means = [pl.col("score").mean(), pl.col("neutral").mean()]
    whole = table.select(pl.lit(ALL_REFERENCES).alias("reference"), *means)
    known = table.filter(pl.col("skill").is_not_null())
    by_skill = known.group_by(pl.col("skill").alias("reference"), maintain_order=True).agg(*means)
    return pl.concat([whole, by_skill]).to_dicts()


def _require_usable(kept: pl.DataFrame, questions: pl.DataFrame, inputs: dict[str, Path]) -> None:
    if kept.is_empty():
        raise MontessoriError(
            "there is no kept row to score",
            where=str(inputs["rows"]),
            next="dvc repro of what wrote it",
        )
    if questions["task"].null_count():
        return
    missing = sorted({str(skill) for skill in kept["skill"]} - {*questions["task"]})
    if missing:
        raise MontessoriError(
            f"no questions for the task {missing[0]!r}",
            where=str(inputs["questions"]),
            expected="a preference set of the tasks that the rows belong to",
            next="name a preference set of these tasks in params.yaml, icls",
        )


def _measure_scores(
    scores: pl.DataFrame, kept: pl.DataFrame, questions: pl.DataFrame, settings: IclParams
) -> dict[str, Any]:
    """Means of the scores, also by task, and which tasks say nothing because all rows tie."""
    whole = scores.filter(pl.col("reference") == ALL_REFERENCES).join(
        kept.select("row_id", "skill"), on="row_id", maintain_order="left"
    )
    calls = 0
    for skill in kept["skill"]:
        calls += select_questions(questions, skill, settings.questions).height
    metrics: dict[str, Any] = {
        "rows": kept.height,
        "student_calls": calls,
        "score_mean": whole["score"].mean(),
        "score_deviation": whole["score"].std(ddof=0),
        "neutral_mean": whole["neutral"].mean(),
    }
    if questions["task"].null_count():
        return metrics | {"all_tie": whole["score"].n_unique() == 1}
    by_task = whole.group_by("skill", maintain_order=True).agg(
        pl.col("score").mean().alias("mean"), pl.col("score").n_unique().alias("values")
    )
    tied = by_task.filter(pl.col("values") == 1)["skill"].to_list()
    means = dict(by_task.select("skill", "mean").iter_rows())
    return metrics | {
        "tasks": means,
        "tasks_tied": sorted(tied),
        "all_tie": len(tied) == len(means),
    }
