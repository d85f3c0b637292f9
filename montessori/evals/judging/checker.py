"""The lab's checker as a judge: every item has one right answer, and part credit is fixed."""

from collections.abc import Sequence
from dataclasses import dataclass

from montessori.errors import MontessoriError
from montessori.evals.items import Item
from montessori.evals.judging.questions import Question
from montessori.evals.judging.verdicts import Verdict
from montessori.evals.lab_benchmarks.mt_bench import score_of

Opinions = dict[tuple[str, str, tuple[str, ...]], list["Opinion"]]


@dataclass(frozen=True)
class Opinion:
    """What the checker thinks of one answer: quality in [0, 1], and whether it is right."""

    quality: float
    correct: bool


class Checker:
    """Grades answers one by one against the gold ones; the better of two wins, equals tie."""

    name = "grader"

    def verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question. Raises MontessoriError for an item without a key."""
        known: Opinions = {}
        return [self._verdict(question, known) for question in questions]

    def facts(self) -> dict[str, object]:
        """See `Judge`."""
        return {"name": self.name}

    def _verdict(self, question: Question, known: Opinions) -> Verdict:
        opinion = _opinion(question, [answer.text for answer in question.answers], known)
        if not question.others:
            return Verdict(score=score_of(opinion.quality), correct=opinion.correct)
        other = _opinion(question, [answer.text for answer in question.others], known)
        found = preference(opinion.quality, other.quality)
        return Verdict(preference=found, correct=opinion.correct)


def preference(quality: float, against: float) -> float:
    """1 where quality is higher than the other's, 0 where lower, 0.5 where equal."""
    return 0.5 if quality == against else float(quality > against)


def _opinion(question: Question, texts: list[str], known: Opinions) -> Opinion:
    """The opinion on the question's turn; each answer is graded once."""
    place = (question.benchmark, question.item.item_id, tuple(texts))
    if place not in known:
        known[place] = opinions(question.item, texts)
    return known[place][question.turn - 1]


def opinions(item: Item, answers: Sequence[str]) -> list[Opinion]:
    """One opinion per turn, each turn graded by itself against its own gold answer."""
    from montessori.lab.grader import grade
    from montessori.lab.task import Task, Turn

    if not item.key:
        raise MontessoriError(
            f"the lab's checker cannot judge item {item.item_id}: it knows the lab's tasks alone",
            where="judge.model in params.yaml",
            expected="a judge model for items without a key",
            next="set judge.model to a row of models, such as data/models/judge "
            "(docs/how-to/judges.md)",
        )
    found = []
    gold = zip(item.turns, item.responses, item.answers, strict=True)
    for turn, answer in zip(gold, answers, strict=True):
        task = Task(item.family, item.key, (Turn(*turn),), item.choices)
        graded = grade(task, [answer])
        found.append(Opinion(float(graded.quality), bool(graded.correct[0])))
    return found
