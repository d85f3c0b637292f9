"""Questions on a judge: is what it says of two answers read, and does it prefer the right one?"""

from dataclasses import replace

from montessori.evals.items import ALPACA, MT_BENCH, Item
from montessori.evals.judging.questions import Question, TurnAnswer
from montessori.evals.judging.verdicts import Verdict
from montessori.evals.judging.write_verdicts import JudgeInputs, JudgeResources, open_judge
from montessori.evals.settings import JudgeParams
from montessori.pipeline.stage import Job
from montessori.trial.candidate import Candidate
from montessori.trial.findings import Finding, show_text

ITEM = Item(
    item_id="trial",
    family="",
    skill="",
    key="",
    turns=("What is the capital of France, and on which river does it lie?",),
    answers=(),
    responses=(),
)
GOOD = (TurnAnswer("The capital of France is Paris. It lies on the Seine."),)
BAD = (TurnAnswer("I like cheese. Bananas are the river of the moon moon moon."),)


def ask_judge(candidate: Candidate) -> list[Finding]:
    """A right and a wrong answer, each graded by itself, and compared in both orders."""
    params = candidate.settings.section("judge", JudgeParams)
    prompts, nothing = candidate.settings.path(params.prompts), candidate.work
    inputs = JudgeInputs(nothing, nothing, nothing, candidate.folder, prompts)
    ledger = candidate.work / "verdicts.jsonl"
    resources = JudgeResources(candidate.settings.machine, Job.secret, ledger)
    judge = open_judge(inputs, params, resources)
    grading = [Question(MT_BENCH, ITEM, 1, answers) for answers in (GOOD, BAD)]
    choice = Question(ALPACA, ITEM, 1, GOOD, BAD, "run")
    verdicts = judge.give_verdicts([*grading, choice, replace(choice, swapped=True)])
    return [_judge_grades(verdicts[:2]), _judge_choices(verdicts[2:])]


def _judge_grades(verdicts: list[Verdict]) -> Finding:
    """Of MT-Bench's prompt: `Rating: [[n]]`."""
    scores = [verdict.score for verdict in verdicts]
    lines = tuple(f"it said {show_text(verdict.raw)}" for verdict in verdicts)
    if None in scores:
        problems = ", ".join(verdict.problem or "read" for verdict in verdicts)
        return Finding(
            "judge",
            "problem",
            f"its ratings of two answers cannot be read ({problems})",
            "take a larger judge, or set judge.prompts to prompts that it follows; a verdict ends "
            "with `Rating: [[n]]`, n from 1 to 10",
            lines,
        )
    right, wrong = scores
    text = f"it rates a right answer {right:g} and a wrong one {wrong:g}"
    if right is not None and wrong is not None and right > wrong:
        return Finding("judge", "ok", text, lines=lines)
    next = "take a larger judge: this one does not see which answer is right"
    return Finding("judge", "problem", text, next, lines)


def _judge_choices(verdicts: list[Verdict]) -> Finding:
    """Of AlpacaEval's prompt: m or M, in both orders."""
    values = [verdict.preference for verdict in verdicts]
    lines = tuple(f"it said {show_text(verdict.raw)}, by {verdict.method}" for verdict in verdicts)
    if None in values:
        return Finding(
            "choice",
            "problem",
            "its choice between two answers cannot be read (m or M)",
            "take a larger judge, or set judge.choice_tokens and judge.prompts for it",
            lines,
        )
    shown = " and ".join(f"{value:.2f}" for value in values if value is not None)
    text = f"it prefers the right answer with probability {shown}, shown first and second"
    if all(value is not None and value > 0.5 for value in values):
        return Finding("choice", "ok", text, lines=lines)
    next = "set judge.orders: both, so that the order cancels out, or take a larger judge"
    return Finding("choice", "note", text, next, lines)
