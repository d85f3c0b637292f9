"""`montessori bench icl`: time of scores by log-probability and by generation, and agreement."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import polars as pl

from montessori.artifacts.files import read_table
from montessori.artifacts.schemas import PROBE
from montessori.errors import MontessoriError
from montessori.pipeline.machine import Machine
from montessori.signals.icl.demonstrations import Texts
from montessori.signals.icl.measure import Trial, grade_answers, score_trials
from montessori.signals.icl.questions import read_questions, select_questions
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.student import Student
from montessori.signals.icl.tokens import tokenize_opened

Scores = list[list[float]]


@dataclass(frozen=True)
class Options:
    """What is measured: the student, demonstrations and questions, and their numbers."""

    student: Path
    rows: Path
    questions: Path
    sample: int  # demonstrations
    most: int  # questions of each
    single: int  # calls that are also timed one at a time
    threads: int
    device: str


@dataclass(frozen=True)
class Work:
    """The demonstrations as text, and the questions of each (schema QUESTIONS)."""

    prefixes: list[str]
    frames: list[pl.DataFrame]

    @property
    def calls(self) -> int:
        """The number of answers of the student."""
        return sum(frame.height for frame in self.frames)


def measure_icl(
    options: Options, settings: IclParams, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure four ways to score; `say` gets lines for the user. Returns the figures.

    Raises MontessoriError when there is nothing to measure.
    """
    student = Student.open(options.student, _machine_of(options), settings.stop)
    texts = Texts.read_folder(Path(settings.templates), settings)
    work = _read_work(options, texts)
    accuracy = replace(settings, measure="accuracy", questions=0)
    warm = Work(work.prefixes[:2], work.frames[:2])
    figures: dict[str, Any] = {"demonstrations": len(work.prefixes), "calls": work.calls}

    def score_by(read: str, measure: str, part: Work) -> Scores:
        changed = replace(accuracy, read=read, measure=measure)  # type: ignore[arg-type]
        trials = [Trial(*each) for each in zip(part.prefixes, part.frames, strict=True)]
        return score_trials(student, texts, trials, changed)

    ways: dict[str, Callable[[Work], Scores]] = {
        "plain": lambda part: score_plainly(student, texts, part, settings.max_new_tokens),
        "shared": lambda part: score_by("generate", "accuracy", part),
        "forced": lambda part: score_by("forced", "accuracy", part),
        "probability": lambda part: score_by("forced", "probability", part),
    }
    scores: dict[str, Scores] = {}
    for name, way in ways.items():
        # First calls load code and allocate memory, so they are not timed.
        way(warm)
        started = time.perf_counter(), time.process_time()
        scores[name] = way(work)
        seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        figures |= {f"{name}_seconds": seconds, f"{name}_cpu_seconds": cpu}
        figures[f"{name}_per_second"] = work.calls / seconds
        if name != "plain":
            figures |= _agreement(name, scores["plain"], scores[name])
            figures[f"{name}_speedup"] = figures["plain_seconds"] / seconds
            figures[f"{name}_cpu_speedup"] = figures["plain_cpu_seconds"] / cpu
        say(_result_line(name, figures))
    return figures | _time_single_calls(student, texts, work, settings, options.single, say)


def score_plainly(student: Student, texts: Texts, work: Work, max_new_tokens: int) -> Scores:
    """Score by plain generation: each question with its demonstration is a prompt of its own."""
    from montessori.generate import Request, Sampling

    prompts: list[str] = []
    for prefix, frame in zip(work.prefixes, work.frames, strict=True):
        prompts += [prefix + texts.render_question(question) for question in frame["input"]]
    ids = tokenize_opened(student.tokenizer, prompts)
    completions = student.engine.generate([Request(row) for row in ids], Sampling(max_new_tokens))
    answers = [completion.text.split(student.stop)[0] for completion in completions]
    scores, start = [], 0
    for frame in work.frames:
        grades = grade_answers(answers[start : start + frame.height], frame)
        scores.append([float(grade) for grade in grades])
        start += frame.height
    return scores


def _time_single_calls(
    student: Student,
    texts: Texts,
    work: Work,
    settings: IclParams,
    calls: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Time some calls of plain generation one at a time."""
    if not calls:
        return {}
    singles = []
    for n in range(calls):
        index = n % len(work.prefixes)
        singles.append(Work([work.prefixes[index]], [work.frames[index][n % 3 : n % 3 + 1]]))
    started = time.perf_counter()
    for single in singles:
        score_plainly(student, texts, single, settings.max_new_tokens)
    each = (time.perf_counter() - started) / calls
    say(f"plain, one call at a time: {1 / each:.0f} calls/s (on {calls} calls)")
    return {"single_calls": calls, "single_per_second": 1 / each}


def _read_work(options: Options, texts: Texts) -> Work:
    kept = read_table(options.rows / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    questions = read_questions(options.questions).filter("closed")
    if questions["task"].null_count() < questions.height:
        kept = kept.filter(pl.col("skill").is_in(questions["task"].to_list()))
    if kept.height < 2 or questions.is_empty():
        raise MontessoriError(
            f"{kept.height} kept rows and {questions.height} closed questions are too few",
            where=f"{options.rows} and {options.questions}",
            expected="a folder of drafts or of a probe, and closed questions of its tasks",
            next="montessori bench icl --help",
        )
    step = max(1, kept.height // options.sample)
    rows = kept.gather_every(step).head(options.sample)
    frames = [select_questions(questions, skill, options.most) for skill in rows["skill"]]
    return Work([texts.render_dialogue(m) for m in rows["messages"].to_list()], frames)


def _machine_of(options: Options) -> Machine:
    devices = get_args(Machine.__dataclass_fields__["device"].type) or ("auto", "cpu", "cuda")
    if options.device not in devices:
        raise MontessoriError(
            f"--device {options.device} is not one of {', '.join(devices)}",
            expected="auto, cpu or cuda",
            next="montessori bench icl --help",
        )
    return Machine(device=options.device, threads=options.threads)  # type: ignore[arg-type]


def _agreement(name: str, plain: Scores, scores: Scores) -> dict[str, float | None]:
    """The share of equal answers, and the rank correlation of the demonstrations' scores."""
    figures: dict[str, float | None] = {}
    if name != "probability":  # probabilities are not answers, so they are only ranked
        equal = count = 0
        for plain_row, row in zip(plain, scores, strict=True):
            equal += sum(a == b for a, b in zip(plain_row, row, strict=True))
            count += len(row)
        figures[f"{name}_equal"] = equal / count
    figures[f"{name}_spearman"] = rank_correlation(_row_means(plain), _row_means(scores))
    return figures


def _row_means(scores: Scores) -> list[float]:
    return [sum(row) / len(row) for row in scores]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None if one list is constant."""
    frame = pl.DataFrame({"a": first, "b": second})
    if frame["a"].n_unique() == 1 or frame["b"].n_unique() == 1:
        return None
    ranked = frame.select(pl.all().rank("average"))
    return float(ranked.select(pl.corr("a", "b")).item())


def _result_line(name: str, figures: dict[str, Any]) -> str:
    seconds, speed = figures[f"{name}_seconds"], figures[f"{name}_per_second"]
    text = f"{name}: {seconds:.2f} s, {speed:.0f} calls/s"
    if name == "plain":
        return text
    equal, rank = figures.get(f"{name}_equal"), figures[f"{name}_spearman"]
    cpu = figures[f"{name}_cpu_speedup"]  # independent of other work on the machine
    text += f", {figures[f'{name}_speedup']:.1f} times faster ({cpu:.1f} by CPU time)"
    text += "" if equal is None else f", {equal:.2%} of the answers equal"
    return text + ("" if rank is None else f", Spearman of the scores {rank:.4f}")
