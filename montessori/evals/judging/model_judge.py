"""A language model as a judge: by its log-probabilities, or by what it writes."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.evals.judging.judge_prompts import JudgePrompts
from montessori.evals.judging.questions import Question
from montessori.evals.judging.read_choice import choice_by_logprobs, choice_by_text
from montessori.evals.judging.verdicts import Verdict
from montessori.evals.published.judgments import HIGHEST, LOWEST, parse_rating, parse_winner
from montessori.evals.settings import JudgeParams
from montessori.generate.engine import Message, Prompt, Request, Sampling
from montessori.generate.ledger import Answer, Cost
from montessori.progress import track_progress
from montessori.seeding import seed_of

if TYPE_CHECKING:
    from montessori.generate.kept import EngineWithLedger

LOG = logging.getLogger(__name__)
NOTHING = Answer("", 0, False)  # of a prompt that leaves no room in the judge's context


@dataclass(frozen=True)
class JudgeRequest:
    """A question as it is put to the engine."""

    question: Question
    prompt: Prompt
    seed: int
    sampling: Sampling


@dataclass
class ModelJudge:
    """A model that an engine runs, asked in the words of `prompts`.

    takes_system: its chat template shows system messages; else they open the user's turn.
    """

    name: str
    engine: "EngineWithLedger"
    prompts: JudgePrompts
    params: JudgeParams
    about: dict[str, object]
    takes_system: bool = True

    def give_verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question; what the ledger has is not asked for again.

        Raises MontessoriError when the folder of prompts lacks one, before anything is asked, and
        when the engine fails for good or the budget ends.
        """
        open_ = [question for question in questions if not _is_tie(question)]
        asked = self._to_requests(open_)
        for sampling in dict.fromkeys(one.sampling for one in asked):
            self._ask_engine([one for one in asked if one.sampling == sampling], sampling)
        found = [self._verdict_on(one) for one in asked]
        self._warn_of_problems(open_, found)
        said = iter(found)
        return [_TIE if _is_tie(question) else next(said) for question in questions]

    def describe_judge(self) -> dict[str, object]:
        """See `Judge`: `spent` is what this stage paid, answers that were lost included."""
        spent = self.engine.ledger.sum_costs()
        return {"name": self.name, **self.about, "spent": spent}

    def _warn_of_problems(self, questions: Sequence[Question], verdicts: Sequence[Verdict]) -> None:
        """Say what metrics will count: no log-probabilities, verdicts that cannot be used."""
        chosen = [verdict.method for question, verdict in zip(questions, verdicts, strict=True)
                  if question.is_choice]  # fmt: skip
        if chosen and self.params.top_logprobs and "logprobs" not in chosen:
            LOG.warning("%s gives no log-probabilities: its text is read instead", self.name)
        problems = Counter(verdict.problem for verdict in verdicts if verdict.problem)
        if problems:
            listed = ", ".join(f"{count} {problem}" for problem, count in problems.items())
            LOG.warning("of %d verdicts of %s: %s", len(verdicts), self.name, listed)

    def _to_requests(self, questions: Sequence[Question]) -> list[JudgeRequest]:
        specials = self.engine.special_texts
        dialogues = [self.prompts.dialogue_for(question, specials) for question in questions]
        if not self.takes_system:
            dialogues = [without_system(dialogue) for dialogue in dialogues]
        prompts = self.engine.render_prompts(dialogues)
        return [
            JudgeRequest(
                question, prompt, seed_of(0, "judge", question.repeat), self._sampling_for(question)
            )
            for question, prompt in zip(questions, prompts, strict=True)
        ]

    def _sampling_for(self, question: Question) -> Sampling:
        params = self.params
        if question.is_choice:
            return Sampling(params.choice_tokens, logprobs=params.top_logprobs)
        return Sampling(params.max_new_tokens, params.temperature)

    def _ask_engine(self, asked: Sequence[JudgeRequest], sampling: Sampling) -> None:
        requests = [Request(one.prompt, (one.seed,)) for one in asked]
        with track_progress(len(requests), "verdicts", self.name) as progress:
            self.engine.generate(requests, sampling, progress.advance)

    def _verdict_on(self, asked: JudgeRequest) -> Verdict:
        key = self.engine.sample_key(asked.prompt, asked.seed, asked.sampling)
        answer = self.engine.ledger.answers.get(key, NOTHING)
        cost = self.engine.ledger.costs.get(key, Cost())
        return read_verdict(asked.question, answer, key, cost)


_TIE = Verdict(preference=0.5, method="identical")


def _is_tie(question: Question) -> bool:
    """Identical answers count as a tie and are not sent to the judge, as in AlpacaEval."""
    return bool(question.others) and question.texts == question.other_texts


def read_verdict(question: Question, answer: Answer, key: str, cost: Cost) -> Verdict:
    """The verdict in a judge's answer to a question."""
    preference = score = None
    by_logprobs = choice_by_logprobs(answer.first) if question.is_choice else None
    problem = ""
    if not (answer.finished or answer.tokens or answer.text or answer.first):
        problem = "context"
    elif question.others:
        preference, problem = _read_preference(question, answer, by_logprobs)
    else:
        score, problem = _read_score(answer)
    return Verdict(
        preference=preference,
        score=score,
        method="text" if by_logprobs is None else "logprobs",
        problem=problem,
        key=key,
        raw=answer.text,
        first=json.dumps(answer.first) if answer.first else "",
        **asdict(cost),
    )


def _read_preference(
    question: Question, answer: Answer, by_logprobs: float | None
) -> tuple[float | None, str]:
    """Probability that the run's answer is the better one; else None and the problem."""
    shown_first = by_logprobs
    if shown_first is None and question.is_choice:
        shown_first = choice_by_text(answer.text)
    elif shown_first is None:
        shown_first = {"A": 1.0, "B": 0.0, "tie": 0.5}.get(parse_winner(answer.text))
    if shown_first is None:
        return None, "unparsed"
    return (1.0 - shown_first if question.swapped else shown_first), ""


def _read_score(answer: Answer) -> tuple[float | None, str]:
    rating = parse_rating(answer.text)
    if rating is None:
        return None, "unparsed"
    return (rating, "") if LOWEST <= rating <= HIGHEST else (None, "out of range")


# --------------------------------------------------------------------------------------- opening
def without_system(dialogue: Sequence[Message]) -> list[Message]:
    """A dialogue whose system messages open the user's turn behind them."""
    system = [message["content"] for message in dialogue if message["role"] == "system"]
    rest = [message for message in dialogue if message["role"] != "system"]
    opened = {**rest[0], "content": "\n\n".join([*system, rest[0]["content"]])}
    return [opened, *rest[1:]]


def shows_system(folder: Path) -> bool:
    """Whether the chat template of a model folder shows what a system message says."""
    from montessori.errors import MontessoriError
    from montessori.models.chat import load_tokenizer, render_text

    dialogue = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    try:
        return "Be brief." in render_text(load_tokenizer(folder), dialogue, prompt=True)
    except MontessoriError:
        return False
