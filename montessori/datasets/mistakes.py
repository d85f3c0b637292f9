"""The rows of a set that a student gets wrong, for LLM2LLM (arXiv 2403.15042).

They are a seed pool like any other: a teacher that is shown these rows as examples writes new data
around the student's mistakes.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl

from montessori.artifacts.dialogue import build_dialogue, system_prompts, user_turns
from montessori.artifacts.files import new_folder, read_table, write_table
from montessori.artifacts.schemas import ROWS
from montessori.errors import MontessoriError
from montessori.graph.limits import PositiveShare, Rows, Tokens, Whole
from montessori.progress import track_progress
from montessori.worlds import grade_row

if TYPE_CHECKING:
    from montessori.generate import Engine
    from montessori.pipeline.machine import Machine


@dataclass(frozen=True)
class MistakesParams:
    """Section `mistakes`: what a mistake is."""

    by: Literal["grader", "loss"]
    rows: Annotated[Whole, "rows"]
    share: Annotated[PositiveShare, "share of rows"]
    max_new_tokens: Tokens
    max_length: Tokens
    min_rows: Rows


def write_mistakes(
    student: Path, rows: Path, out: Path, settings: MistakesParams, machine: "Machine"
) -> dict[str, Any]:
    """Write `out`/rows.parquet (ROWS): the rows of `rows` that the student gets wrong, in order.

    By grader: rows that the lab's checker knows, if it finds the student's greedy answer wrong in
    any turn. A row's own responses do not count, so a wrong training row is no mistake of the
    student. By loss: the share of rows with the highest mean loss per answer token. Returns
    metrics. Raises MontessoriError for fewer mistakes than `settings.min_rows`.
    """
    frame = read_table(rows / "rows.parquet", ROWS)
    frame = frame.head(settings.rows) if settings.rows else frame
    if settings.by == "grader":
        wrong, work = _find_by_grader(student, frame, settings, machine)
    else:
        wrong, work = _find_by_loss(student, rows, frame, settings, machine)
    judgements = pl.Series(wrong, dtype=pl.Boolean)  # null: no task of the lab
    mistakes = frame.filter(judgements.fill_null(False))
    judged = judgements.drop_nulls().len()
    if mistakes.height < settings.min_rows:
        raise _too_few_mistakes(mistakes.height, judged, frame.height, rows, settings)
    facts = {"rows": mistakes.height, "by": settings.by}
    with new_folder(out, {"student": student, "rows": rows}, facts) as folder:
        write_table(mistakes, folder / "rows.parquet", ROWS)
    skills = (
        mistakes.filter(pl.col("skill").is_not_null())
        .group_by("skill", maintain_order=True)
        .len()
        .sort("skill")
    )
    return {
        "by": settings.by,
        "oracle": settings.by == "grader",
        "rows": mistakes.height,
        "judged": judged,
        "looked_at": frame.height,
        "skills": dict(skills.iter_rows()),
    } | work


def _find_by_grader(
    student: Path, frame: pl.DataFrame, settings: MistakesParams, machine: "Machine"
) -> tuple[list[bool | None], dict[str, int]]:
    """Whether the student's answers are wrong, None for no task of the lab; and the cost."""
    from montessori.generate.transformers_engine import TransformersEngine

    engine = TransformersEngine.open(student, machine)
    rows = frame["messages"].to_list()
    turns = [user_turns(messages) for messages in rows]
    systems = [system_prompts(messages) for messages in rows]
    answers: list[list[str]] = [[] for _ in turns]
    tokens = 0
    with track_progress(len(turns), "rows", "mistakes") as progress:
        for turn in range(max(map(len, turns), default=0)):
            places = [i for i, texts in enumerate(turns) if len(texts) > turn]
            dialogues = [
                build_dialogue(turns[i][: turn + 1], answers[i], systems[i]) for i in places
            ]
            written = _answer_greedily(engine, dialogues, settings.max_new_tokens)
            for place, (text, number) in zip(places, written, strict=True):
                answers[place].append(text)
                tokens += number
            progress.advance(len(places) if turn == 0 else 0)
    wrong = [_is_wrong(texts, replies) for texts, replies in zip(turns, answers, strict=True)]
    return wrong, {"tokens_forward": tokens, "parameters": engine.model.num_parameters()}


def _answer_greedily(
    engine: "Engine", dialogues: list[list[dict[str, str]]], most: int
) -> list[tuple[str, int]]:
    """Greedy answers of at most `most` tokens, and the tokens read and written for each."""
    from montessori.generate import Request, Sampling

    requests = [Request(prompt) for prompt in engine.render_prompts(dialogues)]
    answers = engine.generate(requests, Sampling(most))
    return [(out.text, len(requests[out.request].ids) + out.tokens) for out in answers]


def _is_wrong(turns: tuple[str, ...], answers: list[str]) -> bool | None:
    grade = grade_row(turns, answers)
    return None if grade is None else not all(grade.correct)


def _find_by_loss(
    student: Path, rows: Path, frame: pl.DataFrame, settings: MistakesParams, machine: "Machine"
) -> tuple[list[bool | None], dict[str, int]]:
    """Whether a row's loss is among the highest (of equal ones the earlier); and the cost.

    None for a row without a response in the tokens that are read.
    """
    from montessori.models import chat
    from montessori.models.adapters import load_merged
    from montessori.signals.scoring import split_unanswered
    from montessori.train.device import choose_device
    from montessori.train.loss import mean_losses, measure_rows, tokenize_rows

    tokenizer = chat.load_tokenizer(student)
    tokens = tokenize_rows(tokenizer, frame["messages"].to_list(), settings.max_length)
    places = [i for i, row in enumerate(tokens) if row.targets]
    tokens, _, _ = split_unanswered(tokens, frame, rows, "mistakes.max_length")
    model = load_merged(student).to(choose_device(machine)).eval()
    losses = measure_rows(mean_losses, model, tokens, tokenizer.pad_token_id or 0)
    worst = sorted(range(len(losses)), key=lambda i: -losses[i])
    chosen = {places[i] for i in worst[: math.ceil(settings.share * len(losses))]}
    read = sum(len(row.ids) for row in tokens)
    wrong: list[bool | None] = [None] * frame.height
    for place in places:
        wrong[place] = place in chosen
    return wrong, {"tokens_forward": read, "parameters": model.num_parameters()}


def _too_few_mistakes(
    mistakes: int, judged: int, looked_at: int, rows: Path, settings: MistakesParams
) -> MontessoriError:
    return MontessoriError(
        f"{mistakes} mistakes are too few: of {looked_at} rows {judged} could be judged",
        where=f"{rows / 'rows.parquet'}, judged by {settings.by}",
        expected=f"at least {settings.min_rows} rows that the student gets wrong "
        "(mistakes.min_rows; the teacher needs them as examples)",
        next="look at more rows (mistakes.rows), or set mistakes.by: loss in params.yaml: the "
        "rows with the highest loss always are a share of the set",
    )
