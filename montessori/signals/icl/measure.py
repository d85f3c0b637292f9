"""From a student's answers to a value of each demonstration and question."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from montessori.signals.icl.answers import answer_of, is_same_answer, tagged_answer
from montessori.signals.icl.demonstrations import Texts, build_group
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.student import Student
from montessori.signals.icl.tokens import Group

Values = list[float]


@dataclass(frozen=True)
class Trial:
    """A demonstration, or an empty text, and the questions (QUESTIONS) asked after it."""

    prefix: str
    questions: pl.DataFrame


@dataclass(frozen=True)
class Subset:
    """Some questions of a trial that are answered in the same way: read, or written."""

    trial: int
    places: list[int]  # of the questions in the trial
    questions: pl.DataFrame
    group: Group  # their tokens


def score_trials(
    student: Student, texts: Texts, trials: Sequence[Trial], settings: IclParams
) -> list[Values]:
    """For each trial the value of each of its questions.

    accuracy: 1 if the student answers correctly, greedily, else 0. probability: of stating the
    right answer in one of the accepted ways and stopping there. logprob: of the gold text, in nats
    a token.
    """
    if settings.measure == "accuracy":
        return _score_accuracy(student, texts, trials, settings)
    return _score_likelihood(student, texts, trials, whole=settings.measure == "logprob")


def grade_answers(wrote: Sequence[str], questions: pl.DataFrame) -> list[bool]:
    """Whether each text gives its question's target, or is its gold response.

    The answer to a closed question is what is tagged, or the first line.
    """
    golds = questions.select("target", "response", "closed").iter_rows()
    grades = []
    for text, (target, gold, closed) in zip(wrote, golds, strict=True):
        first_line = closed and tagged_answer(text) is None
        given = text.strip().split("\n")[0] if first_line else text
        is_gold = gold is not None and is_same_answer(given, gold)
        grades.append(is_gold or is_same_answer(answer_of(given), target))
    return grades


def _score_accuracy(
    student: Student, texts: Texts, trials: Sequence[Trial], settings: IclParams
) -> list[Values]:
    values = [[math.nan] * trial.questions.height for trial in trials]

    def fill(subsets: Sequence[Subset], grades: Iterable[list[bool]]) -> None:
        for subset, correct in zip(subsets, grades, strict=True):
            for place, is_correct in zip(subset.places, correct, strict=True):
                values[subset.trial][place] = float(is_correct)

    # Closed answers are read from one forward pass, unless the student is to write them all.
    forced = settings.read == "forced"
    read = _select_questions(student, texts, trials, closed=True) if forced else []
    fill(read, student.judge_answers([subset.group for subset in read]))
    written = _select_questions(student, texts, trials, closed=False if forced else None)
    groups = [subset.group for subset in written]
    grades = []
    answers = student.write_answers(groups, settings.max_new_tokens)
    for subset, texts_written in zip(written, answers, strict=True):
        grades.append(grade_answers(texts_written, subset.questions))
    fill(written, grades)
    return values


def _select_questions(
    student: Student, texts: Texts, trials: Sequence[Trial], closed: bool | None
) -> list[Subset]:
    """The closed or the open questions of each trial that has any; with None all questions."""
    subsets = []
    for number, trial in enumerate(trials):
        flags = trial.questions["closed"]
        places = [i for i, flag in enumerate(flags) if closed is None or flag == closed]
        if places:
            questions = trial.questions[places]
            group = build_group(student, texts, trial.prefix, questions, whole=False)
            subsets.append(Subset(number, places, questions, group))
    return subsets


def _score_likelihood(
    student: Student, texts: Texts, trials: Sequence[Trial], whole: bool
) -> list[Values]:
    groups = [build_group(student, texts, t.prefix, t.questions, whole) for t in trials]
    values = []
    for group, answers in zip(groups, student.read_answers(groups), strict=True):
        if whole:
            # The gold text is the only answer; longer texts are comparable by the mean of a token.
            lengths = [len(question.answers[0]) for question in group.questions]
            values.append([a.logprobs[0] / n for a, n in zip(answers, lengths, strict=True)])
        else:
            values.append([answer.probability for answer in answers])
    return values
