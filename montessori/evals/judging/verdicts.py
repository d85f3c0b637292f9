"""Verdicts of a judge, and their table (schema VERDICTS).

Columns of a row: item_id, benchmark, turn, family and difficulty of the item; `against` ("run",
"reference", or "" where an answer is graded by itself), `repeat` (which of several verdicts),
`swapped` (the other answer was shown first); length and against_length in characters, `note` on
the run's answer ("", "empty", "truncated", "context"); and the fields of `Verdict`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import polars as pl

from montessori.artifacts.files import make_table
from montessori.artifacts.schemas import VERDICTS
from montessori.evals.judging.questions import Question

#: Key of judge.json: answers of the run that came behind a thought, if there are any.
ANSWERS_THINKING = "answers_thinking"
TABLE, FACTS = "verdicts.parquet", "judge.json"  # of the stage judge
Method = Literal["checker", "logprobs", "text", "identical"]


@dataclass(frozen=True)
class Verdict:
    """A judge's answer to one question.

    preference: probability that the run's answer is the better one, 0.5 for a tie. score: 1-10.
    correct: whether the answer is right, set only by judges that know the right one. preference
    and score are None where the verdict cannot be used, and `problem` says why: "unparsed", "out
    of range", "context" (the question was longer than the judge's context).
    method: how the verdict was found; two identical answers are a tie without asking. key: the
    verdict's name in the ledger of paid answers, by content. raw, first: the judge's text, and its
    likeliest first tokens with log-probabilities as JSON. prompt_tokens, completion_tokens, usd:
    the cost of this verdict, even where an earlier run paid it.
    """

    preference: float | None = None
    score: float | None = None
    correct: bool | None = None
    method: Method = "checker"
    problem: str = ""
    key: str = ""
    raw: str = ""
    first: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float = 0.0


class Judge(Protocol):
    """What the stage judge needs of a judge."""

    name: str

    def give_verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question, in their order."""
        ...

    def describe_judge(self) -> dict[str, object]:
        """The judge's name and settings and what it was paid, for judge.json."""
        ...


def verdict_table(
    judge: str, questions: Sequence[Question], verdicts: Sequence[Verdict]
) -> pl.DataFrame:
    """Put verdicts and their questions into a table (schema VERDICTS), in their order."""
    rows = []
    for question, verdict in zip(questions, verdicts, strict=True):
        rows.append({"judge": judge, **_question_columns(question), **asdict(verdict)})
    return make_table(rows, VERDICTS)


def _question_columns(question: Question) -> dict[str, object]:
    answer = question.answers[question.turn - 1]
    others = question.others
    return {
        "item_id": question.item.item_id,
        "benchmark": question.benchmark,
        "turn": question.turn,
        "length": len(answer.text),
        "against_length": len(others[question.turn - 1].text) if others else None,
        "note": answer.note,
        "family": question.item.family,
        "difficulty": question.item.difficulty,
        "against": question.against,
        "repeat": question.repeat,
        "swapped": question.swapped,
    }
