"""Requests in flight follow the rate of answers; a full server sends no 429, it becomes slow.

What would break: requests wait until they time out and are paid for again, or a server that could
do more stands idle.
"""

import asyncio
import heapq
import time

import pytest

from montessori.generate.flight import START, Climb, Flight

SERVERS = {
    "eight at once, others wait": lambda n: 0.02 * max(1, n / 8),
    "one at once": lambda n: 0.02 * n,
    "slower and slower from three": lambda n: 0.02 * (1 + (n / 3) ** 2),
    "slower and slower from eight": lambda n: 0.02 * (1 + (n / 8) ** 2),
    "slower and slower from twenty": lambda n: 0.02 * (1 + (n / 20) ** 2),
    "better in batches": lambda n: 0.02 * (1 + n / 30),
}


def play(climb, latency, total, fixed=0):
    """Answers a second and the longest latency of `total` requests, in simulated time."""
    now, heap, sent, longest = 0.0, [], 0, 0.0
    while sent < total or heap:
        while sent < total and len(heap) < (fixed or climb.limit):
            sent += 1
            climb.peak = max(climb.peak, len(heap) + 1)
            heapq.heappush(heap, (now + latency(len(heap) + 1), sent, climb.round, now))
        now, _, round, started = heapq.heappop(heap)
        longest = max(longest, now - started)
        climb.count_answer(round, now - started)
    return total / now, longest


@pytest.mark.parametrize("name", SERVERS)
def test_the_rate_is_nearly_that_of_the_best_fixed_number(name):
    latency = SERVERS[name]
    best = max(play(Climb(64, 100), latency, 800, fixed=n)[0] for n in range(1, 65))
    assert play(Climb(64, 100), latency, 800)[0] > 0.8 * best


def test_latencies_stay_away_from_the_timeout():
    """A server of one request at a time: twice as many only wait twice as long."""
    climb = Climb(64, patience=4.0)
    _, longest = play(climb, lambda n: float(n), 400)
    assert longest <= START
    assert climb.limit <= 4


def test_a_refused_or_lost_request_halves_once_a_round():
    climb = Climb(64, 100)
    before = climb.round
    climb.ease(before, START)
    assert climb.limit == START // 2
    climb.ease(before, START)  # sent before the limit fell
    assert climb.limit == START // 2
    for _ in range(5):
        climb.ease(climb.round, 1)
    assert climb.limit == 1


def test_what_something_else_bounds_says_nothing_of_the_server():
    climb = Climb(64, 100)
    for _ in range(100):
        climb.peak = 2  # a budget, say, lets two pass
        climb.count_answer(climb.round, 0.1)
    assert climb.limit == START


def test_never_more_in_flight_than_the_limit_and_nobody_waits_for_ever():
    flight, flying, most = Flight(Climb(20, 100)), 0, 0

    async def one():
        nonlocal flying, most
        async with flight.take_slot():
            flying += 1
            assert flying <= flight.climb.limit or flying <= most
            most = max(most, flying)
            await asyncio.sleep(0.001)
            flying -= 1

    async def all_of_them():
        await asyncio.gather(*(one() for _ in range(300)))

    asyncio.run(asyncio.wait_for(all_of_them(), 20))
    assert START < most <= 20
    assert flight.flying == 0


def test_nothing_is_sent_while_the_server_asks_to_wait():
    flight = Flight(Climb(4, 100))

    async def one():
        async with flight.take_slot():
            return time.monotonic()

    flight.wait(0.1)
    before = time.monotonic()
    assert asyncio.run(one()) - before > 0.09
