"""The lab's checker as a judge: every item has one right answer, and part credit is fixed."""

from collections.abc import Sequence

from montessori.errors import MontessoriError
from montessori.evals.items import Item
from montessori.evals.judging.questions import Question
from montessori.evals.judging.verdicts import Verdict
from montessori.evals.lab_benchmarks.score_scale import score_of
from montessori.worlds import Grade, Task, Turn, world_of

#: Grades of each turn by benchmark, item and answers.
Known = dict[tuple[str, str, tuple[str, ...]], list[Grade]]


class Checker:
    """Grades answers one by one against the gold ones; the better of two wins, equals tie."""

    name = "grader"

    def give_verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question. Raises MontessoriError for an item without a key."""
        known: Known = {}
        return [self._verdict_on(question, known) for question in questions]

    def describe_judge(self) -> dict[str, object]:
        """See `Judge`."""
        return {"name": self.name}

    def _verdict_on(self, question: Question, known: Known) -> Verdict:
        grade = _grade(question, [answer.text for answer in question.answers], known)
        if not question.others:
            return Verdict(score=score_of(grade.quality), correct=grade.correct[0])
        other = _grade(question, [answer.text for answer in question.others], known)
        return Verdict(
            preference=compare_qualities(grade.quality, other.quality), correct=grade.correct[0]
        )


def compare_qualities(quality: float, against: float) -> float:
    """1 where quality is higher than the other's, 0 where lower, 0.5 where equal."""
    return 0.5 if quality == against else float(quality > against)


def _grade(question: Question, texts: list[str], known: Known) -> Grade:
    """The grade on the question's turn; each answer is graded once."""
    asked = (question.benchmark, question.item.item_id, tuple(texts))
    if asked not in known:
        known[asked] = grade_turns(question.item, texts)
    return known[asked][question.turn - 1]


def grade_turns(item: Item, answers: Sequence[str]) -> list[Grade]:
    """One grade per turn, each turn graded by itself against its own gold answer.

    Raises MontessoriError for an item that is no task of an installed world.
    """
    world = world_of(item.family) if item.key else None
    if world is None:
        raise MontessoriError(
            f"the lab's checker cannot judge item {item.item_id}: it knows the lab's tasks alone",
            where="judge.model in params.yaml",
            expected="a judge model for items without a key",
            next="set judge.model to a row of models, such as data/models/judge "
            "(docs/how-to/judges.md)",
        )
    gold = zip(item.turns, item.responses, item.answers, strict=True)
    tasks = [Task(item.family, item.skill, item.key, (Turn(*t),), item.choices) for t in gold]
    pairs = zip(tasks, answers, strict=True)
    return [world.grade_responses(task, [answer]) for task, answer in pairs]
