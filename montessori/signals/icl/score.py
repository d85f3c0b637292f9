"""The scores table of in-context learning: each row as the one demonstration of a student.

Source: ARTE (arXiv 2406.19227), section 3.2: s(q, r) is the student's accuracy on the preference
set with (q, r) as its single demonstration, greedy.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from montessori.artifacts.files import folder_digest, new_folder, read_table, write_table
from montessori.artifacts.schemas import ALL_REFERENCES, PROBE, SCORES, Schema
from montessori.errors import MontessoriError
from montessori.pipeline.parts import Parts, Shard, parts_digest
from montessori.progress import track_progress
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.measure import values
from montessori.signals.icl.questions import of_task, read_questions
from montessori.signals.icl.settings import IclParams

if TYPE_CHECKING:
    from montessori.pipeline.machine import Machine
    from montessori.signals.icl.student import Student

#: What a part of the table took, in each of its rows.
WORK: Schema = {"tokens_forward": pl.Int64, "parameters": pl.Int64}
WHOLE = Shard(1, 1)
ZERO = ""  # the prefix without a demonstration


def score_rows(
    student: Path,
    rows: Path,
    questions: Path,
    templates: Path,
    out: Path,
    settings: IclParams,
    machine: "Machine",
    work: Path,
    label: str = "icl",
    shard: Shard = WHOLE,
) -> dict[str, Any] | None:
    """Write `out`/scores.parquet for the kept rows of the folder `rows`.

    A row whose questions have tasks is scored on those of its own task (its skill). Returns
    metrics, or None for a shard while parts of others are missing. Raises MontessoriError when
    there is no row, no question, or a task without questions.
    """
    kept = read_table(rows / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    asked = read_questions(questions)
    _require_usable(kept, asked, rows, questions)
    inputs = {"student": student, "rows": rows, "questions": questions, "templates": templates}
    digests = {name: folder_digest(path) for name, path in inputs.items()}
    params = asdict(settings)
    params.pop("templates")  # their texts count, not their place
    parts = Parts(work, parts_digest(params, digests, {**SCORES, **WORK}))
    texts = Texts.load(templates, settings)
    frames = _fill(parts, kept, asked, texts, settings, student, machine, label, shard)
    if frames is None:
        return None
    scores = pl.concat(frames).select(*SCORES)
    metrics = _metrics(scores, kept, asked, settings) | {
        "tokens_forward": sum(frame["tokens_forward"][0] for frame in frames),
        "parameters": frames[0]["parameters"][0],
    }
    with new_folder(out, inputs, {"rows": kept.height, "measure": settings.measure}) as folder:
        write_table(scores, folder / "scores.parquet", SCORES)
    parts.remove_all()
    return metrics


def _fill(
    parts: Parts,
    kept: pl.DataFrame,
    asked: pl.DataFrame,
    texts: Texts,
    settings: IclParams,
    folder: Path,
    machine: "Machine",
    label: str,
    shard: Shard,
) -> list[pl.DataFrame] | None:
    """All parts, once they are there; this shard's missing ones are made."""
    starts = range(0, kept.height, settings.rows_per_part)
    missing = [n for n in range(len(starts)) if shard.owns_part(n) and not parts.find_part(n)]
    if missing:
        from montessori.signals.icl.student import Student

        student = Student.open(folder, machine, settings.stop)
        with track_progress(len(missing), "parts", label) as progress:
            for n in missing:
                rows = kept.slice(starts[n], settings.rows_per_part)
                before = student.tokens
                frame = score_part(student, texts, rows, asked, settings)
                took = {
                    "tokens_forward": pl.lit(student.tokens - before, pl.Int64),
                    "parameters": pl.lit(student.parameters, pl.Int64),
                }
                parts.write_part(n, frame.with_columns(**took))
                progress.advance(1)
    if not all(parts.find_part(n) for n in range(len(starts))):
        return None
    return [parts.read_part(n) for n in range(len(starts))]


def score_part(
    student: "Student",
    texts: Texts,
    rows: pl.DataFrame,
    asked: pl.DataFrame,
    settings: IclParams,
) -> pl.DataFrame:
    """SCORES of some kept rows: on all questions of a row, then on each skill of theirs."""
    prefixes = [texts.dialogue(messages) for messages in rows["messages"].to_list()]
    questions = [of_task(asked, skill, settings.questions) for skill in rows["skill"]]
    found = values(student, texts, prefixes, questions, settings)
    zero: dict[str | None, list[float]] = {}
    if settings.neutral == "zero-shot":
        tasks = list(dict.fromkeys(rows["skill"]))
        frames = [of_task(asked, task, settings.questions) for task in tasks]
        bare = values(student, texts, [ZERO] * len(tasks), frames, settings)
        zero = dict(zip(tasks, bare, strict=True))
    records: list[dict[str, Any]] = []
    for n, (row, prompt, skill) in enumerate(
        rows.select("row_id", "prompt_id", "skill").iter_rows()
    ):
        table = (
            questions[n]
            .select("skill")
            .with_columns(
                pl.Series("score", found[n], dtype=pl.Float64),
                pl.Series("neutral", zero.get(skill, [None] * len(found[n])), dtype=pl.Float64),
            )
        )
        records += [
            {"row_id": row, "prompt_id": prompt, **reference} for reference in _references(table)
        ]
    return pl.DataFrame(records, schema=SCORES)


def _references(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Means over all questions and over each skill, in the order of their first question."""
    means = [pl.col("score").mean(), pl.col("neutral").mean()]
    whole = table.select(pl.lit(ALL_REFERENCES).alias("reference"), *means)
    known = table.filter(pl.col("skill").is_not_null())
    by_skill = known.group_by(pl.col("skill").alias("reference"), maintain_order=True).agg(*means)
    return pl.concat([whole, by_skill]).to_dicts()


def _require_usable(kept: pl.DataFrame, asked: pl.DataFrame, rows: Path, questions: Path) -> None:
    if kept.is_empty():
        raise MontessoriError(
            "there is no kept row to score", where=str(rows), next="dvc repro of what wrote it"
        )
    if asked["task"].null_count():
        return
    missing = sorted({str(skill) for skill in kept["skill"]} - {*asked["task"]})
    if missing:
        raise MontessoriError(
            f"no questions for the task {missing[0]!r}",
            where=str(questions),
            expected="a preference set of the tasks that the rows belong to",
            next="name a preference set of these tasks in params.yaml, icls",
        )


def _metrics(
    scores: pl.DataFrame, kept: pl.DataFrame, asked: pl.DataFrame, settings: IclParams
) -> dict[str, Any]:
    """Means of the scores, also by task, and what says nothing: tasks whose rows all tie."""
    whole = scores.filter(pl.col("reference") == ALL_REFERENCES).join(
        kept.select("row_id", "skill"), on="row_id", maintain_order="left"
    )
    calls = sum(of_task(asked, skill, settings.questions).height for skill in kept["skill"])
    metrics: dict[str, Any] = {
        "rows": kept.height,
        "student_calls": calls,
        "score_mean": whole["score"].mean(),
        "score_deviation": whole["score"].std(ddof=0),
        "neutral_mean": whole["neutral"].mean(),
    }
    if asked["task"].null_count():
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
