"""A budget that stops before it is passed: the worst case is set aside before a request is sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from montessori.errors import MontessoriError
from montessori.generate.ledger import Cost, Ledger


@dataclass(frozen=True)
class Limits:
    """The most that a stage may spend, its earlier, killed runs included; 0 = no limit."""

    usd: float = 0.0
    tokens: int = 0

    def allow(self, cost: Cost) -> bool:
        """Whether so much may be spent."""
        return (not self.usd or cost.usd <= self.usd) and (
            not self.tokens or cost.tokens <= self.tokens
        )


class Budget:
    """What one call may still spend, beside what its ledger holds."""

    def __init__(self, limits: Limits, ledger: Ledger) -> None:
        self.limits = limits
        self.ledger = ledger
        self.aside = Cost()  # worst case of the requests in flight
        self.changed = asyncio.Condition()

    @asynccontextmanager
    async def set_aside(self, worst: Cost) -> AsyncIterator[None]:
        """Room for one request, once those in flight leave it; its cost enters the ledger inside.

        Raises MontessoriError when they could cost nothing and there would still be no room.
        """
        async with self.changed:
            while not self.limits.allow(self.ledger.total + self.aside + worst):
                if not self.limits.allow(self.ledger.total + worst):
                    raise _budget_error(self.limits, self.ledger, worst)
                await self.changed.wait()
            self.aside += worst
        try:
            yield
        finally:
            async with self.changed:
                self.aside -= worst
                self.changed.notify_all()


def _budget_error(limits: Limits, ledger: Ledger, worst: Cost) -> MontessoriError:
    total = ledger.total
    return MontessoriError(
        f"the budget ends here: {total.tokens} tokens and {total.usd:.4f} USD are spent in "
        f"{ledger.requests} requests; the next may take {worst.tokens} tokens and "
        f"{worst.usd:.4f} USD",
        where=f"machine.max_tokens {limits.tokens}, machine.max_usd {limits.usd:g} (0 = no limit)",
        expected="a budget for the whole stage; all answers so far are kept",
        next="raise machine.max_usd or machine.max_tokens in params.yaml, then dvc repro",
    )
