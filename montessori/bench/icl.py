"""`montessori bench icl`: what reading answers saves against writing them, and what it changes."""

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
    """What is measured: the student, its demonstrations and questions, and how many of them."""

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
    """The demonstrations as text, and the questions of each (QUESTIONS)."""

    prefixes: list[str]
    frames: list[pl.DataFrame]

    @property
    def calls(self) -> int:
        """Answers of the student."""
        return sum(frame.height for frame in self.frames)


def bench(options: Options, settings: IclParams, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure what `options` ask for; lines for a person go to `say`. Returns the figures.

    Raises MontessoriError when there is nothing to measure.
    """
    student = Student.open(options.student, _machine(options), settings.stop)
    texts = Texts.read_folder(Path(settings.templates), settings)
    work = _work(options, texts)
    accuracy = replace(settings, measure="accuracy", questions=0)
    warm = Work(work.prefixes[:2], work.frames[:2])
    figures: dict[str, Any] = {"demonstrations": len(work.prefixes), "calls": work.calls}

    def by(read: str, measure: str, some: Work) -> Scores:
        changed = replace(accuracy, read=read, measure=measure)  # type: ignore[arg-type]
        trials = [Trial(*each) for each in zip(some.prefixes, some.frames, strict=True)]
        return score_trials(student, texts, trials, changed)

    ways: dict[str, Callable[[Work], Scores]] = {
        "plain": lambda some: plain(student, texts, some, settings.max_new_tokens),
        "shared": lambda some: by("generate", "accuracy", some),
        "forced": lambda some: by("forced", "accuracy", some),
        "probability": lambda some: by("forced", "probability", some),
    }
    found: dict[str, Scores] = {}
    for name, way in ways.items():
        way(warm)
        started = time.perf_counter(), time.process_time()
        found[name] = way(work)
        seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        figures |= {f"{name}_seconds": seconds, f"{name}_cpu_seconds": cpu}
        figures[f"{name}_per_second"] = work.calls / seconds
        if name != "plain":
            figures |= _against(name, found["plain"], found[name])
            figures[f"{name}_speedup"] = figures["plain_seconds"] / seconds
            figures[f"{name}_cpu_speedup"] = figures["plain_cpu_seconds"] / cpu
        say(_line(name, figures))
    return figures | _singly(student, texts, work, settings, options.single, say)


def plain(student: Student, texts: Texts, work: Work, max_new_tokens: int) -> Scores:
    """Plain generation: every question with its demonstration as a prompt of its own."""
    from montessori.generate import Request, Sampling

    prompts = [
        prefix + texts.render_question(question)
        for prefix, frame in zip(work.prefixes, work.frames, strict=True)
        for question in frame["input"]
    ]
    ids = tokenize_opened(student.tokenizer, prompts)
    made = student.engine.generate([Request(row) for row in ids], Sampling(max_new_tokens))
    wrote = iter([out.text.split(student.stop)[0] for out in made])
    return [
        [float(right) for right in grade_answers([next(wrote) for _ in range(frame.height)], frame)]
        for frame in work.frames
    ]


def _singly(
    student: Student,
    texts: Texts,
    work: Work,
    settings: IclParams,
    calls: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Plain generation one call at a time, some calls only; seconds of all by their number."""
    if not calls:
        return {}
    some = Work(
        [work.prefixes[n % len(work.prefixes)] for n in range(calls)],
        [work.frames[n % len(work.prefixes)][n % 3 : n % 3 + 1] for n in range(calls)],
    )
    started = time.perf_counter()
    for prefix, frame in zip(some.prefixes, some.frames, strict=True):
        plain(student, texts, Work([prefix], [frame]), settings.max_new_tokens)
    each = (time.perf_counter() - started) / calls
    say(f"plain, one call at a time: {1 / each:.0f} calls/s (on {calls} calls)")
    return {"single_calls": calls, "single_per_second": 1 / each}


def _work(options: Options, texts: Texts) -> Work:
    kept = read_table(options.rows / "rows.parquet", PROBE).filter(pl.col("dropped").is_null())
    asked = read_questions(options.questions).filter("closed")
    if asked["task"].null_count() < asked.height:
        kept = kept.filter(pl.col("skill").is_in(asked["task"].to_list()))
    if kept.height < 2 or asked.is_empty():
        raise MontessoriError(
            f"{kept.height} kept rows and {asked.height} closed questions are nothing to measure",
            where=f"{options.rows} and {options.questions}",
            expected="a folder of drafts or of a probe, and closed questions of its tasks",
            next="montessori bench icl --help",
        )
    step = max(1, kept.height // options.sample)
    rows = kept.gather_every(step).head(options.sample)
    frames = [select_questions(asked, skill, options.most) for skill in rows["skill"]]
    return Work([texts.render_dialogue(m) for m in rows["messages"].to_list()], frames)


def _machine(options: Options) -> Machine:
    devices = get_args(Machine.__dataclass_fields__["device"].type) or ("auto", "cpu", "cuda")
    if options.device not in devices:
        raise MontessoriError(
            f"--device {options.device} is not one of {', '.join(devices)}",
            expected="auto, cpu or cuda",
            next="montessori bench icl --help",
        )
    return Machine(device=options.device, threads=options.threads)  # type: ignore[arg-type]


def _against(name: str, truth: Scores, found: Scores) -> dict[str, float | None]:
    """Share of equal answers, and Spearman of the demonstrations' scores."""
    figures: dict[str, float | None] = {}
    pairs = [(a, b) for x, y in zip(truth, found, strict=True) for a, b in zip(x, y, strict=True)]
    if name != "probability":
        figures[f"{name}_equal"] = sum(a == b for a, b in pairs) / len(pairs)
    means = [[sum(row) / len(row) for row in scores] for scores in (truth, found)]
    return figures | {f"{name}_spearman": spearman(*means)}


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation of two lists, ties at their mean rank; None where one is constant."""
    frame = pl.DataFrame({"a": first, "b": second})
    if frame["a"].n_unique() == 1 or frame["b"].n_unique() == 1:
        return None
    ranked = frame.select(pl.all().rank("average"))
    return float(ranked.select(pl.corr("a", "b")).item())


def _line(name: str, figures: dict[str, Any]) -> str:
    seconds, speed = figures[f"{name}_seconds"], figures[f"{name}_per_second"]
    text = f"{name}: {seconds:.2f} s, {speed:.0f} calls/s"
    if name == "plain":
        return text
    equal, rank = figures.get(f"{name}_equal"), figures[f"{name}_spearman"]
    cpu = figures[f"{name}_cpu_speedup"]  # other work on the machine does not count here
    text += f", {figures[f'{name}_speedup']:.1f} times faster ({cpu:.1f} by CPU time)"
    text += "" if equal is None else f", {equal:.2%} of the answers equal"
    return text + ("" if rank is None else f", Spearman of the scores {rank:.4f}")
