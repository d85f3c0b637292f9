"""A language model as a judge: by its log-probabilities, or by what it writes."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.artifacts.dialogue import join_system
from montessori.evals.judging.judge_prompts import JudgePrompts
from montessori.evals.judging.questions import Question
from montessori.evals.judging.read_choice import choice_by_logprobs, choice_by_text
from montessori.evals.judging.verdicts import Verdict
from montessori.evals.published.judgments import HIGHEST, LOWEST, parse_rating, parse_winner
from montessori.evals.settings import JudgeParams
from montessori.generate.engine import Message, Prompt, Request, Sampling
from montessori.generate.ledger import Answer, Cost
from montessori.models.chat import load_tokenizer, takes_system
from montessori.progress import track_progress
from montessori.seeding import seed_of

if TYPE_CHECKING:
    from montessori.generate.kept import EngineWithLedger

LOG = logging.getLogger(__name__)
THINKING_ONLY = "thinking only"  # no verdict behind the judge's thought
NOTHING = Answer("", 0, False)  # to a prompt that leaves no room in the judge's context


@dataclass(frozen=True)
class JudgeRequest:
    """A question with the prompt, the seed and the sampling that put it to the engine."""

    question: Question
    prompt: Prompt
    seed: int
    sampling: Sampling


@dataclass
class ModelJudge:
    """A judge model: an engine that is asked by the prompts of a folder.

    about: facts for judge.json. takes_system: whether the chat template shows system messages; if
    it does not, they are put before the user's first message. thinking: verdicts so far that came
    behind a thought.
    """

    name: str
    engine: "EngineWithLedger"
    prompts: JudgePrompts
    params: JudgeParams
    about: dict[str, object]
    takes_system: bool = True
    thinking: int = 0

    def give_verdicts(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict for each question; verdicts in the ledger are not asked for again.

        Raises MontessoriError when the folder of prompts lacks one, before the engine is asked,
        and when the engine fails for good or the budget ends.
        """
        asked = [question for question in questions if not _is_tie(question)]
        requests = self._to_requests(asked)
        self._ask_engine(requests)
        verdicts = [self._verdict_on(request) for request in requests]
        self._warn_of_problems(asked, verdicts)
        remaining = iter(verdicts)
        return [_TIE if _is_tie(question) else next(remaining) for question in questions]

    def describe_judge(self) -> dict[str, object]:
        """See `Judge`. `spent`: what this stage paid, for answers that were lost too."""
        spent = self.engine.ledger.sum_costs()
        thinking = {"thinking": self.thinking} if self.thinking else {}
        return {"name": self.name, **self.about, "spent": spent, **thinking}

    def _warn_of_problems(self, questions: Sequence[Question], verdicts: Sequence[Verdict]) -> None:
        """Warn of missing log-probabilities and of verdicts that cannot be used."""
        methods = set()  # of AlpacaEval's verdicts
        for question, verdict in zip(questions, verdicts, strict=True):
            if question.is_choice:
                methods.add(verdict.method)
        if methods and self.params.top_logprobs and "logprobs" not in methods:
            LOG.warning("%s gives no log-probabilities: its text is read instead", self.name)
        problems = Counter(verdict.problem for verdict in verdicts)
        del problems[""]
        if problems:
            listed = ", ".join(f"{count} {problem}" for problem, count in problems.items())
            LOG.warning("of %d verdicts of %s: %s", len(verdicts), self.name, listed)
        if problems[THINKING_ONLY]:
            LOG.warning(
                "raise judge.max_new_tokens or judge.choice_tokens, or switch the judge's thinking "
                "off: model.template_options in params.yaml"
            )

    def _to_requests(self, questions: Sequence[Question]) -> list[JudgeRequest]:
        specials = self.engine.special_texts
        dialogues = [self.prompts.dialogue_for(question, specials) for question in questions]
        if not self.takes_system:
            dialogues = [without_system(dialogue) for dialogue in dialogues]
        requests = []
        for question, prompt in zip(questions, self.engine.render_prompts(dialogues), strict=True):
            sampling = self._sampling_for(question)
            requests.append(JudgeRequest(question, prompt, _seed_of(question, sampling), sampling))
        return requests

    def _sampling_for(self, question: Question) -> Sampling:
        params = self.params
        if question.is_choice:
            return Sampling(params.choice_tokens, logprobs=params.top_logprobs)
        return Sampling(params.max_new_tokens, params.temperature)

    def _ask_engine(self, requests: Sequence[JudgeRequest]) -> None:
        """Have all requests answered, into the ledger; one call of the engine per sampling."""
        by_sampling: dict[Sampling, list[Request]] = {}
        for each in requests:
            prompts = by_sampling.setdefault(each.sampling, [])
            prompts.append(Request(each.prompt, (each.seed,)))
        for sampling, prompts in by_sampling.items():
            with track_progress(len(prompts), "verdicts", self.name) as progress:
                self.engine.generate(prompts, sampling, progress.advance)

    def _verdict_on(self, request: JudgeRequest) -> Verdict:
        key = self.engine.sample_key(request.prompt, request.seed, request.sampling)
        answer = self.engine.ledger.answers.get(key, NOTHING)
        cost = self.engine.ledger.costs.get(key, Cost())
        self.thinking += bool(answer.thought)
        return read_verdict(request.question, answer, key, cost)


def _seed_of(question: Question, sampling: Sampling) -> int:
    """The seed of a verdict, which no run is part of: equal answers share a paid verdict.

    A drawn verdict has a seed for each item and turn, or the draws of one repeat would all lean to
    the same side.
    """
    if sampling.temperature == 0:
        return seed_of(0, "judge", question.repeat)
    return seed_of(0, "judge", *question.item.turns, question.turn, question.repeat)


_TIE = Verdict(preference=0.5, method="identical")


def _is_tie(question: Question) -> bool:
    """Identical answers count as a tie and are not sent to the judge, as in AlpacaEval."""
    return bool(question.others) and question.texts == question.other_texts


def read_verdict(question: Question, answer: Answer, key: str, cost: Cost) -> Verdict:
    """Read the verdict from a judge's answer to a question.

    key, cost: of the answer in the ledger.
    """
    preference = score = None
    # a judge that thinks begins with its thought, whose first token is no verdict
    reads_first = question.is_choice and not answer.thought
    by_logprobs = choice_by_logprobs(answer.first) if reads_first else None
    problem = ""
    if answer.refused:
        problem = answer.refused
    # An empty answer that was not finished is none: the prompt left no room for it.
    elif not (answer.finished or answer.tokens or answer.text or answer.first):
        problem = "context"
    elif answer.thought and not answer.text:
        problem = THINKING_ONLY
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
        raw=answer.text or answer.thought,
        first=json.dumps(answer.first) if answer.first else "",
        **asdict(cost),
    )


def _read_preference(
    question: Question, answer: Answer, by_logprobs: float | None
) -> tuple[float | None, str]:
    """Probability that the run's answer is the better one; otherwise None, and the problem."""
    shown_first = by_logprobs
    if shown_first is None and question.is_choice:
        shown_first = choice_by_text(answer.text)
    elif shown_first is None:
        shown_first = {"A": 1.0, "B": 0.0, "tie": 0.5}.get(parse_winner(answer.text))
    if shown_first is None:
        return None, "unparsed"
    return (1.0 - shown_first if question.swapped else shown_first), ""


def _read_score(answer: Answer) -> tuple[float | None, str]:
    """The rating in an answer; otherwise None, and the problem."""
    rating = parse_rating(answer.text)
    if rating is None:
        return None, "unparsed"
    return (rating, "") if LOWEST <= rating <= HIGHEST else (None, "out of range")


# --------------------------------------------------------------------------------------- opening
def without_system(dialogue: Sequence[Message]) -> list[Message]:
    """Move the system messages of a dialogue to the beginning of the user's first message."""
    return join_system(dialogue)


def shows_system(folder: Path) -> bool:
    """Whether the chat template of a model folder shows the text of a system message."""
    return takes_system(load_tokenizer(folder))
