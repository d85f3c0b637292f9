"""A judge's marks on a probe's rows as a signal (Self-Reward: the teacher judges itself).

A judge is a model folder, run by any engine, or a .json file `{"kind": "grader"}`: the lab's
checker, which knows every right answer and is therefore an oracle, not a model.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from montessori.artifacts.dialogue import (
    assistant_turns,
    build_prompts,
    system_prompts,
    user_turns,
)
from montessori.artifacts.files import read_json, read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate import Engine, Request, Sampling
from montessori.pipeline.parts import Parts
from montessori.progress import track_progress
from montessori.seeding import seed_of
from montessori.signals.judge_marks import BEST, load_judge_template, read_mark, render_question
from montessori.signals.settings import JudgeSignalParams
from montessori.signals.table import write_scores
from montessori.worlds import grade_row
from montessori.writing.order import Order

KIND = "judge-signal"
#: Of a row: the sum of its marks, verdicts with a mark, malformed ones, tokens of the verdicts, and
#: verdicts that came behind a thought.
PART = {
    "row_id": pl.String,
    "total": pl.Float64,
    "marks": pl.Int64,
    "malformed": pl.Int64,
    "tokens": pl.Int64,
    "thinking": pl.Int64,
}


class Judge(Protocol):
    """A judge of training rows."""

    @property
    def oracle(self) -> bool:
        """Whether it knows the right answers."""
        ...

    def mark_rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The columns of PART for each PROBE row."""
        ...


class GraderJudge:
    """The lab's checker: the quality of the responses, times 5; 0 where it knows no such task."""

    oracle = True

    def mark_rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One mark for each row; nothing is malformed."""
        totals = [_grade_quality(messages) * BEST for messages in rows["messages"].to_list()]
        return pl.DataFrame(
            {
                "row_id": rows["row_id"],
                "total": totals,
                "marks": 1,
                "malformed": 0,
                "tokens": 0,
                "thinking": 0,
            },
            schema=PART,
        )


def _grade_quality(messages: Sequence[dict[str, str]]) -> float:
    grade = grade_row(user_turns(messages), assistant_turns(messages))
    return 0.0 if grade is None else grade.quality


@dataclass(frozen=True)
class ModelJudge:
    """A model that reads the template and answers; `open_engine` opens it when it is needed."""

    open_engine: Callable[[], Engine]
    template: str
    settings: JudgeSignalParams
    seed: int
    oracle: bool = False

    def mark_rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`settings.samples` verdicts on each row."""
        engine, settings = self.open_engine(), self.settings
        questions = []
        texts = rows.select("messages", "instruction", "response")
        for messages, instruction, response in texts.iter_rows():
            asked = "\n\n".join([*system_prompts(messages), instruction])
            questions.append(render_question(asked, response, self.template))
        prompts = engine.render_prompts(build_prompts(questions))
        requests = []
        for prompt, row_id in zip(prompts, rows["row_id"], strict=True):
            seeds = (seed_of(self.seed, KIND, row_id, k) for k in range(settings.samples))
            requests.append(Request(prompt, tuple(seeds)))
        sampling = Sampling(settings.max_new_tokens, settings.temperature, settings.top_p)
        verdicts = []
        for answer in engine.generate(requests, sampling):
            mark, tokens = None if answer.refused else read_mark(answer.text), answer.tokens
            row_id = rows["row_id"][answer.request]
            thinking = int(bool(answer.thought))
            verdicts.append(
                {"row_id": row_id, "mark": mark, "tokens": tokens, "thinking": thinking}
            )
        schema = {name: PART[name] for name in ("row_id", "tokens", "thinking")}
        table = pl.DataFrame(verdicts, schema={**schema, "mark": pl.Float64})
        return table.group_by("row_id", maintain_order=True).agg(
            pl.col("mark").sum().alias("total"),
            pl.col("mark").count().cast(pl.Int64).alias("marks"),
            pl.col("mark").null_count().cast(pl.Int64).alias("malformed"),
            pl.col("tokens").sum(),
            pl.col("thinking").sum(),
        )


def open_judge(order: Order, settings: JudgeSignalParams) -> Judge:
    """The judge that `order` names. Raises MontessoriError for a .json file that names none."""
    path = order.inputs["judge"]
    if path.is_file():
        described = read_json(path)
        if described != {"kind": "grader"}:
            raise MontessoriError(
                f"{described!r} is no judge",
                where=str(path),
                expected='{"kind": "grader"}, or the folder of a model',
                next="name a judge in params.yaml, section judge_signals, then `dvc repro`",
            )
        return GraderJudge()
    template = load_judge_template(order.inputs["template"])
    return ModelJudge(order.lazy_engine(), template, settings, order.seed)


def score_by_judge(order: Order, settings: JudgeSignalParams, out: Path) -> dict[str, Any]:
    """Write `out`/scores.parquet: the mean mark (0 to 5) of each kept row of the probe.

    `order.inputs` are probe, judge and template. Rows without any readable verdict get no score.
    Finished parts and paid answers are kept under `order.work`; parts count for the same settings
    of the engine. Returns metrics: those of the table, calls of the judge, malformed verdicts,
    tokens. Raises MontessoriError when too many verdicts are malformed or all rows of each prompt
    tie.
    """
    judge = open_judge(order, settings)
    rows = read_table(order.inputs["probe"] / "rows.parquet", PROBE)
    rows = rows.filter(pl.col("dropped").is_null())
    params = asdict(settings)
    params.pop("template")  # its text is an input; where the file lies does not matter
    params.pop("max_malformed")  # a limit, which changes no mark
    parts = order.open_parts({"generation": asdict(order.generation), **params}, PART)
    label = f"{KIND} {order.name}"
    marked = _fill_parts(parts, judge, rows, settings.rows_per_part, label)
    facts = _count_verdicts(marked, judge)
    if facts["malformed"] > settings.max_malformed * facts["judge_calls"]:
        raise _too_many_malformed(facts, settings, order.inputs["judge"])
    scored = rows.join(marked.filter(pl.col("marks") > 0), on="row_id", maintain_order="left")
    means = (scored["total"] / scored["marks"]).to_list()
    metrics = write_scores(scored, means, out, order.inputs, {"oracle": judge.oracle})
    return order.clear_work(parts, metrics | facts)


def _fill_parts(
    parts: Parts, judge: Judge, rows: pl.DataFrame, size: int, label: str
) -> pl.DataFrame:
    """The marks of all rows, finished parts from disk."""
    starts = range(0, rows.height, size)
    with track_progress(rows.height, "rows", label) as progress:
        for part, start in enumerate(starts):
            batch = rows[start : start + size]
            if not parts.find_part(part):
                parts.write_part(part, judge.mark_rows(batch))
            progress.advance(batch.height)
    return pl.concat([parts.read_part(part) for part in range(len(starts))])


def _count_verdicts(marked: pl.DataFrame, judge: Judge) -> dict[str, Any]:
    marks, malformed = int(marked["marks"].sum()), int(marked["malformed"].sum())
    thinking = int(marked["thinking"].sum())
    return {
        "oracle": judge.oracle,
        "judge_calls": marks + malformed,
        "malformed": malformed,
        "rows_without_mark": marked.filter(pl.col("marks") == 0).height,
        "judge_tokens": int(marked["tokens"].sum()),
        **({"thinking": thinking} if thinking else {}),
    }


def _too_many_malformed(
    facts: dict[str, Any], settings: JudgeSignalParams, judge: Path
) -> MontessoriError:
    thinking = (
        "the judge thinks first: raise judge_signal.max_new_tokens, or switch thinking off "
        "(model.template_options); or "
        if "thinking" in facts
        else ""
    )
    return MontessoriError(
        f"{facts['malformed']} of {facts['judge_calls']} verdicts have no mark",
        where=f"judge {judge}",
        expected=f"at most {settings.max_malformed:.0%} (judge_signal.max_malformed); a verdict "
        "ends with a line `Score: n`, n from 0 to 5",
        next=thinking
        + "use a stronger judge in params.yaml, section judge_signals, or fix the template",
    )
