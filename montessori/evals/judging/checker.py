"""The lab's checker as a judge, which knows the right answers and what earns part credit."""

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
    """Grades each answer by itself; of two answers the better one wins, equally good ones tie."""

    name = "grader"

    def give_verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question. Raises MontessoriError for an item without a key."""
        known: Known = {}
        return [self._verdict_on(question, known) for question in questions]

    def describe_judge(self) -> dict[str, object]:
        """See `Judge`."""
        return {"name": self.name}

    def _verdict_on(self, question: Question, known: Known) -> Verdict:
        # Each turn is graded as a task of one turn, hence `correct[0]`.
        grade = _grade(question, [answer.text for answer in question.answers], known)
        if not question.others:
            return Verdict(score=score_of(grade.quality), correct=grade.correct[0])
        other = _grade(question, [answer.text for answer in question.others], known)
        return Verdict(
            preference=compare_qualities(grade.quality, other.quality), correct=grade.correct[0]
        )


def compare_qualities(quality: float, against: float) -> float:
    """Preference for an answer: 1 if its quality is higher, 0 if it is lower, 0.5 if equal."""
    return 0.5 if quality == against else float(quality > against)


def _grade(question: Question, texts: list[str], known: Known) -> Grade:
    """The grade on the question's turn; the answers to an item are graded only once."""
    key = (question.benchmark, question.item.item_id, tuple(texts))
    if key not in known:
        known[key] = grade_turns(question.item, texts)
    return known[key][question.turn - 1]


def grade_turns(item: Item, answers: Sequence[str]) -> list[Grade]:
    """Grade each turn by itself against its own gold answer.

    Raises MontessoriError for an item that is no task of an installed world.
    """
    world = world_of(item.family) if item.key else None
    if world is None:
        raise MontessoriError(
            f"the lab's checker cannot judge item {item.item_id}: it knows only the lab's tasks",
            where="judge.model in params.yaml",
            expected="a judge model for items without a key",
            next="set judge.model to a row of models, such as data/models/judge "
            "(docs/how-to/judges.md)",
        )
    grades = []
    turns = zip(item.turns, item.responses, item.answers, answers, strict=True)
    for instruction, response, gold, answer in turns:
        turn = Turn(instruction, response, gold)
        task = Task(item.family, item.skill, item.key, (turn,), item.choices)
        grades.append(world.grade_responses(task, [answer]))
    return grades
