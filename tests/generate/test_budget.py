"""A budget that sets the worst case aside.

What would break: a hosted model costs more than the user allowed, or a run stops although money is
left.
"""

import asyncio

import pytest

from montessori.errors import MontessoriError
from montessori.generate.budget import Budget, Limits
from montessori.generate.ledger import Cost, Ledger

WORST = Cost(10, 20, 0.3)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.jsonl")


def test_requests_wait_for_those_in_flight_rather_than_stop(ledger):
    """Of a budget for one worst case at a time, five requests of half of it leave room for all."""
    budget, flight, most = Budget(Limits(tokens=90), ledger), 0, 0

    async def one():
        nonlocal flight, most
        async with budget.set_aside(WORST):
            flight += 1
            most = max(most, flight)
            await asyncio.sleep(0)
            ledger.add_lost(Cost(5, 7, 0.1))
            flight -= 1

    async def all_of_them():
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(all_of_them())
    assert most == 3
    assert ledger.total.tokens == 60
    assert budget.aside.tokens == 0


@pytest.mark.parametrize("limits", [Limits(tokens=29), Limits(usd=0.29)])
def test_no_room_even_alone_is_an_error(ledger, limits):
    async def one():
        async with Budget(limits, ledger).set_aside(WORST):
            raise AssertionError("sent")

    with pytest.raises(MontessoriError, match="the next may take 30 tokens and 0.3000 USD"):
        asyncio.run(one())


@pytest.mark.parametrize("limits", [Limits(), Limits(tokens=30), Limits(usd=0.3)])
def test_exactly_the_budget_may_be_spent(ledger, limits):
    async def one():
        async with Budget(limits, ledger).set_aside(WORST):
            return True

    assert asyncio.run(one())
