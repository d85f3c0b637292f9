"""A judge's marks on a probe's rows as a signal (Self-Reward: the teacher judges itself).

A judge is a model folder, run by any engine, or a .json file `{"kind": "grader"}`: the lab's
checker, which knows every right answer and is therefore an oracle, not a model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from montessori.artifacts.dialogue import user_turns
from montessori.artifacts.files import folder_digest, read_json, read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.generate import Engine, Request, Sampling
from montessori.generate.ledger import read_spending
from montessori.pipeline.parts import Parts, parts_digest
from montessori.progress import track_progress
from montessori.seeding import seed_of
from montessori.signals.judge_marks import BEST, load_judge_template, read_mark, render_question
from montessori.signals.settings import JudgeSignalParams
from montessori.signals.table import write_scores
from montessori.worlds import grade_row

KIND = "judge-signal"
#: Of a row: the sum of its marks, verdicts with a mark, malformed ones, tokens of the verdicts.
PART = {
    "row_id": pl.String,
    "total": pl.Float64,
    "marks": pl.Int64,
    "malformed": pl.Int64,
    "tokens": pl.Int64,
}


class Judge(Protocol):
    """Anything that marks rows."""

    @property
    def oracle(self) -> bool:
        """Whether it knows the right answers."""
        ...

    def mark(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Per PROBE row what PART says."""
        ...


class GraderJudge:
    """The lab's checker: the quality of the responses, times 5; 0 where it knows no such task."""

    oracle = True

    def mark(self, rows: pl.DataFrame) -> pl.DataFrame:
        """One mark for each row; nothing is malformed."""
        totals = [_quality(messages) * BEST for messages in rows["messages"].to_list()]
        return pl.DataFrame(
            {"row_id": rows["row_id"], "total": totals, "marks": 1, "malformed": 0, "tokens": 0},
            schema=PART,
        )


def _quality(messages: Sequence[dict[str, str]]) -> float:
    responses = [message["content"] for message in messages if message["role"] == "assistant"]
    grade = grade_row(user_turns(messages), responses)
    return 0.0 if grade is None else grade.quality


@dataclass(frozen=True)
class ModelJudge:
    """A model that reads the template and answers; `engine` opens it when it is needed."""

    engine: Callable[[], Engine]
    template: str
    settings: JudgeSignalParams
    seed: int
    oracle: bool = False

    def mark(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`settings.samples` verdicts on each row."""
        engine, settings = self.engine(), self.settings
        texts = rows.select("instruction", "response").iter_rows()
        questions = [render_question(asked, said, self.template) for asked, said in texts]
        prompts = engine.render_prompts([[{"role": "user", "content": text}] for text in questions])
        requests = [
            Request(
                prompt, tuple(seed_of(self.seed, KIND, name, k) for k in range(settings.samples))
            )
            for prompt, name in zip(prompts, rows["row_id"], strict=True)
        ]
        sampling = Sampling(settings.max_new_tokens, settings.temperature, settings.top_p)
        answers = engine.generate(requests, sampling)
        marks = [read_mark(answer.text) for answer in answers]
        table = pl.DataFrame(
            {
                "row_id": [rows["row_id"][answer.request] for answer in answers],
                "mark": pl.Series(marks, dtype=pl.Float64),
                "tokens": [answer.tokens for answer in answers],
            }
        )
        return table.group_by("row_id", maintain_order=True).agg(
            pl.col("mark").sum().alias("total"),
            pl.col("mark").count().cast(pl.Int64).alias("marks"),
            pl.col("mark").null_count().cast(pl.Int64).alias("malformed"),
            pl.col("tokens").sum(),
        )


def open_judge(
    path: Path,
    template: Path,
    settings: JudgeSignalParams,
    seed: int,
    open_engine: Callable[[Path], Engine],
    ledger: Path,
) -> Judge:
    """The judge at `path`. Raises MontessoriError for a .json file that names none."""
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
    text = load_judge_template(template)
    return ModelJudge(cache(partial(open_engine, ledger)), text, settings, seed)


def score_by_judge(
    probe: Path,
    judge: Path,
    template: Path,
    out: Path,
    settings: JudgeSignalParams,
    seed: int,
    open_engine: Callable[[Path], Engine],
    work: Path,
    name: str,
    generation: Mapping[str, Any],
) -> dict[str, Any]:
    """Write `out`/scores.parquet: the mean mark (0 to 5) of each kept row of the probe.

    Rows without any readable verdict are left out. Finished parts and paid answers are kept under
    `work`; parts count for the same `generation` settings, the engine's. Returns metrics: those of
    the table, calls of the judge, malformed verdicts, tokens. Raises MontessoriError when too many
    verdicts are malformed or all rows of each prompt tie.
    """
    ledger = work / f"{name}.answers.jsonl"
    marker = open_judge(judge, template, settings, seed, open_engine, ledger)
    frame = read_table(probe / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    inputs = {"probe": probe, "judge": judge, "template": template}
    digests = {key: folder_digest(path) for key, path in inputs.items()}
    params = {k: v for k, v in asdict(settings).items() if k not in ("template", "max_malformed")}
    asked = {"seed": seed, "generation": dict(generation), **params}
    parts = Parts(work, parts_digest(asked, digests, PART))
    marked = _fill(parts, marker, frame, settings.rows_per_part, f"{KIND} {name}")
    facts = _facts(marked, marker)
    if facts["malformed"] > settings.max_malformed * facts["judge_calls"]:
        raise _malformed(facts, settings, judge)
    read = frame.join(marked.filter(pl.col("marks") > 0), on="row_id", maintain_order="left")
    means = (read["total"] / read["marks"]).to_list()
    metrics = write_scores(read, means, out, inputs, {"oracle": marker.oracle})
    cost = read_spending(ledger)
    parts.remove_all()
    ledger.unlink(missing_ok=True)
    return metrics | facts | ({} if cost is None else {"server": cost})


def _fill(parts: Parts, judge: Judge, frame: pl.DataFrame, size: int, label: str) -> pl.DataFrame:
    """The marks of all rows, finished parts from disk."""
    starts = range(0, frame.height, size)
    with track_progress(frame.height, "rows", label) as progress:
        for part, start in enumerate(starts):
            some = frame[start : start + size]
            if not parts.find_part(part):
                parts.write_part(part, judge.mark(some))
            progress.advance(some.height)
    return pl.concat([parts.read_part(part) for part in range(len(starts))])


def _facts(marked: pl.DataFrame, judge: Judge) -> dict[str, Any]:
    marks, malformed = int(marked["marks"].sum()), int(marked["malformed"].sum())
    return {
        "oracle": judge.oracle,
        "judge_calls": marks + malformed,
        "malformed": malformed,
        "rows_without_mark": marked.filter(pl.col("marks") == 0).height,
        "judge_tokens": int(marked["tokens"].sum()),
    }


def _malformed(facts: dict[str, Any], settings: JudgeSignalParams, judge: Path) -> MontessoriError:
    return MontessoriError(
        f"{facts['malformed']} of {facts['judge_calls']} verdicts have no mark",
        where=f"judge {judge}",
        expected=f"at most {settings.max_malformed:.0%} (judge_signal.max_malformed); a verdict "
        "ends with a line `Score: n`, n from 0 to 5",
        next="take a stronger judge in params.yaml, section judge_signals, or fix the template",
    )
