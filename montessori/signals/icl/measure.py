"""From a student's readings to a score of each demonstration, in [0, 1] or in nats."""

import math
from collections.abc import Sequence

import polars as pl

from montessori.signals.icl.answers import answer_of, same_answer, tagged_answer
from montessori.signals.icl.demonstrations import Texts, group
from montessori.signals.icl.settings import IclParams
from montessori.signals.icl.student import Student

Values = list[float]


def values(
    student: Student,
    texts: Texts,
    prefixes: Sequence[str],
    questions: Sequence[pl.DataFrame],
    settings: IclParams,
) -> list[Values]:
    """For each prefix the value of each of its questions (a QUESTIONS table per prefix).

    accuracy: 1 if the student answers rightly, greedily, else 0. probability: that it states the
    right answer in one of the ways to, and stops there. logprob: of the gold text, in nats a token.
    """
    if settings.measure != "accuracy":
        return _likelihoods(student, texts, prefixes, questions, settings)
    forced = settings.read == "forced"
    found: list[Values] = [[math.nan] * frame.height for frame in questions]
    for closed in (True, False):
        places = [
            [i for i, c in enumerate(frame["closed"]) if (c and forced) == closed]
            for frame in questions
        ]
        some = [n for n, place in enumerate(places) if place]
        frames = [questions[n][places[n]] for n in some]
        groups = [group(student, texts, prefixes[n], f, False) for n, f in zip(some, frames)]
        if closed:
            right = student.right(groups)
        else:
            wrote = student.written(groups, settings.max_new_tokens)
            right = [right_answers(row, frame) for row, frame in zip(wrote, frames, strict=True)]
        for n, row in zip(some, right, strict=True):
            for place, value in zip(places[n], row, strict=True):
                found[n][place] = float(value)
    return found


def right_answers(wrote: Sequence[str], questions: pl.DataFrame) -> list[bool]:
    """Whether each text gives its question's target, or is its gold response.

    The answer to a closed question is what is tagged, or the first line.
    """
    golds = questions.select("target", "response", "closed").iter_rows()
    found = []
    for text, (target, gold, closed) in zip(wrote, golds, strict=True):
        at_once = closed and tagged_answer(text) is None
        given = text.strip().split("\n")[0] if at_once else text
        whole = gold is not None and same_answer(given, gold)
        found.append(whole or same_answer(answer_of(given), target))
    return found


def _likelihoods(
    student: Student,
    texts: Texts,
    prefixes: Sequence[str],
    questions: Sequence[pl.DataFrame],
    settings: IclParams,
) -> list[Values]:
    whole = settings.measure == "logprob"
    groups = [
        group(student, texts, prefix, frame, whole)
        for prefix, frame in zip(prefixes, questions, strict=True)
    ]
    readings = student.forced(groups)
    if not whole:
        return [[reading.probability for reading in row] for row in readings]
    return [
        [reading.logprobs[0] / len(asked.answers[0]) for reading, asked in zip(row, rows)]
        for row, (_, rows) in zip(readings, groups, strict=True)
    ]
