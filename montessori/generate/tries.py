"""Has a server answer one sample: what to do after a refusal, a fault, or a timeout."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from montessori.generate.budget import Budget
from montessori.generate.dialects import Dialect
from montessori.generate.engine import Prompt, Sampling
from montessori.generate.flight import Flight
from montessori.generate.ledger import Cost, Ledger, answer_key
from montessori.generate.omission import LOGPROBS, changes_text, find_refused, leave_out
from montessori.generate.refusals import Refusal, Refusals
from montessori.generate.server import (
    TIMEOUTS,
    Refused,
    Server,
    Unanswered,
    Unusable,
    seconds_to_wait,
)
from montessori.generate.shapes import REFUSED, Usage, is_version, other_model
from montessori.models.hosted import Prices

LOG = logging.getLogger(__name__)
Create = Callable[..., Any]


@dataclass(frozen=True)
class MissingSample:
    """A sample that the ledger lacks."""

    key: str
    prompt: Prompt
    seed: int
    room: int


@dataclass
class Learned:
    """What the server has shown: settings that it does not know, and that are no longer sent, and
    the names under which it answers."""

    left_out: frozenset[str] = frozenset()
    names: set[str] = field(default_factory=set)

    def find_other(self, asked: str, answered: str) -> str:
        """The name of the model that answered, where it is not the one that was asked; else "".

        Warns of each name once, unless it is the one that was asked with its version.
        """
        other = other_model(asked, answered)
        if other and other not in self.names:
            self.names.add(other)
            if not is_version(asked, other):
                LOG.warning(
                    "asked for %s, the server says that %s answers: its answers are counted under "
                    "that name in the metrics (server.answered_by)",
                    asked,
                    other,
                )
        return other


@dataclass(frozen=True)
class Desk:
    """All that tries at samples share, as long as the engine is open."""

    server: Server
    dialect: Dialect
    ledger: Ledger
    prices: Prices
    flight: Flight
    learned: Learned

    def price(self, usage: Usage, worst: Cost) -> Cost:
        """What an answer costs; what the server does not count is taken at its worst."""
        prompt = worst.prompt_tokens if usage[0] is None else usage[0]
        completion = worst.completion_tokens if usage[1] is None else usage[1]
        return Cost(prompt, completion, self.prices.price_in_usd(prompt, completion))


@dataclass
class Tries:
    """The tries of one call of the engine, all with the same sampling.

    Once `stopped`, nothing more is sent.
    """

    desk: Desk
    create: Create
    budget: Budget
    sampling: Sampling
    refusals: Refusals
    stopped: bool = False

    async def ask_for(self, sample: MissingSample) -> None:
        """Have one sample answered, or refused for good, and keep it.

        Raises MontessoriError when the tries are used up or the budget ends.
        """
        tries, timeouts, left_out = 0, 0, self.desk.learned.left_out
        while not self.stopped:
            body = leave_out(self._body(sample), left_out)
            try:
                await self._ask_once(sample, body)
            except Refused as refusal:
                refused = find_refused(str(refusal), body)
                if not refused:
                    self._count_refusal(sample, refusal.kind, str(refusal))
                    return
                left_out |= refused
            except (Unanswered, Unusable) as problem:
                tries += 1
                timeouts += isinstance(problem, Unanswered) and problem.timed_out
                if tries > self.desk.server.retries or timeouts >= TIMEOUTS:
                    self._give_up(sample, problem, tries)
                    return
                await self._wait(problem, tries)
            else:
                self._learn(left_out, sample)
                return

    def _body(self, sample: MissingSample) -> dict[str, Any]:
        """The request as it is before anything is left out."""
        body = self.desk.dialect.request_body(
            sample.prompt, sample.seed, self.sampling, sample.room
        )
        return {"model": self.desk.server.model, **body}

    async def _ask_once(self, sample: MissingSample, body: Mapping[str, Any]) -> None:
        """One try within the budget; an answer goes into the ledger."""
        desk, dialect = self.desk, self.desk.dialect
        worst = desk.price((dialect.count_tokens(sample.prompt), sample.room), Cost())
        async with self.budget.set_aside(worst):
            try:
                async with desk.flight.take_slot():
                    if self.stopped:
                        return
                    answer, usage = await desk.server.request_answer(
                        self.create, dict(body), dialect.read_answer
                    )
            except Unusable:
                desk.ledger.add_lost(worst)
                raise
            parted = dialect.part_thought(answer.text, answer.tokens, sample.prompt)
            thought = parted.thought or answer.thought
            model = self.desk.learned.find_other(desk.server.model, answer.model)
            answer = replace(
                answer, text=parted.text, tokens=parted.tokens, thought=thought, model=model
            )
            desk.ledger.add_answer(sample.key, answer, desk.price(usage, worst))
            self.refusals.count_answer()

    async def _wait(self, problem: Unanswered | Unusable, tries: int) -> None:
        """Wait before the next try; where the server asks for it, the flight makes all wait."""
        if not isinstance(problem, Unanswered) or problem.wait is None:
            await asyncio.sleep(seconds_to_wait(tries - 1))

    def _give_up(self, sample: MissingSample, problem: Unanswered | Unusable, tries: int) -> None:
        """What is left when all tries are used up: an error, or a sample without a choice."""
        if isinstance(problem, Unanswered):
            raise problem.give_up(tries) from None
        if not problem.empty:
            raise self.desk.server.unusable_error(str(problem)) from None
        self._count_refusal(sample, REFUSED, f"its answer has no choice: {problem}")

    def _count_refusal(self, sample: MissingSample, kind: str, reason: str) -> None:
        prompt = answer_key(list(sample.prompt))
        self.refusals.count_refusal(Refusal(sample.key, prompt, kind, reason))

    def _learn(self, left_out: frozenset[str], sample: MissingSample) -> None:
        """Leave settings out from now on without which a request was answered; say so once."""
        new = left_out - self.desk.learned.left_out
        if not new or self.stopped:
            return
        self.desk.learned.left_out |= new
        self.desk.ledger.add_left_out(sorted(new))
        if new != {LOGPROBS}:
            changed = ", ".join(changes_text(new, self._body(sample))) or "none"
            listed = ", ".join(f'"{name}"' for name in sorted(new - {LOGPROBS}))
            LOG.warning(
                "%s does not know %s: left out from now on (settings that change the texts: %s); "
                '"omit": [%s] in the model\'s .json file says so from the start',
                self.desk.server.model,
                listed,
                changed,
                listed,
            )
