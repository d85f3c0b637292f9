"""How many requests are in flight at a server: as many as it answers more of in the same time.

A full server says nothing, it becomes slow. By Little's law the answers a second are the requests
in flight divided by their mean latency; the number in flight climbs while they increase: doubled
first (halved, if already the start was too many), then in steps of a quarter, up and down by turns.
Where more in flight brings no more answers, they only wait longer. Latencies near the timeout, and
requests that time out or are refused with 429 or 503, lower the number at once.

Adaptive limits that follow latency alone (TCP Vegas, Netflix's concurrency-limits) keep it near
that of an idle server. A language model's server is slower and still better with a larger batch,
so that they would use a fraction of it: here the rate decides.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

START = 6  # requests in flight at first
LEAST = 6  # answers that a rate is measured on, at least
FEW, CLEAR = 4, 0.8  # answers, and share of the best rate, by which a try has clearly failed
GAIN = 1.15  # rate that a doubling must bring to go on
BETTER = 1.04  # rate that counts as a higher one: latencies vary
STEP = 1.25
LONGEST_HOLD = 16  # rounds between two tries of another number


@dataclass
class Climb:
    """The search for the number of requests in flight, `limit`, at most `most`.

    `patience` is the mean latency in seconds that is too near the timeout. A round is the answers
    to as many requests as are in flight, sent since its beginning; it gives one rate.
    """

    most: int
    patience: float
    limit: int = 0
    round: int = 0
    latencies: list[float] = field(default_factory=list)
    peak: int = 0  # requests in flight in this round, at most
    cold: bool = True  # before the first round has ended, which is not counted
    factor: float = 2.0  # of the next try
    trying: bool = False  # whether `limit` is a try, to be compared with `base`
    base: int = 0  # the best number so far, 0 before the first rate
    rate: float = 0.0  # answers a second with it
    hold: int = 1  # rounds until the next try
    rest: int = 1  # rounds to hold after the next try that fails

    def __post_init__(self) -> None:
        self.limit = self.limit or min(START, self.most)

    def count_answer(self, round: int, latency: float) -> None:
        """Take in the latency (seconds) of an answer to a request that was sent in `round`."""
        if round != self.round:
            return
        self.latencies.append(latency)
        mean = sum(self.latencies) / len(self.latencies)
        full = self.peak >= self.limit  # else something else bounds the requests
        failed = self.trying and full and self._rate(mean) < CLEAR * self.rate
        if len(self.latencies) >= (FEW if failed else max(self.limit, LEAST)):
            self.latencies, self.peak = [], 0
            if self.cold:  # connections were made, and what answers was loaded
                self.cold = False
            elif full:
                self._end_round(mean)

    def ease(self, round: int, flying: int) -> None:
        """Halve what is in flight: a request of `round` was refused as one too many, or lost."""
        if round == self.round:
            self.base, self.trying, self.factor, self.hold = 0, False, STEP, 2
            self._go(min(self.limit, flying) // 2)

    def _end_round(self, mean: float) -> None:
        if mean > self.patience and self.limit > 1:
            self.base, self.trying, self.factor, self.hold = 0, False, 1 / STEP, LONGEST_HOLD
            self._go(int(self.limit * self.patience / mean))
            return
        rate = self._rate(mean)
        if self.trying:
            self._compare(rate)
        else:
            self.base, self.rate = self.limit, rate
        if not self.trying:
            self._try_another()

    def _rate(self, latency: float) -> float:
        """Answers a second, by Little's law."""
        return self.limit / max(latency, 1e-9)

    def _compare(self, rate: float) -> None:
        """Whether a try was better than the base."""
        self.trying = False
        wanted = GAIN if self.factor == 2 else BETTER if self.factor > 1 else 1.0
        if rate >= self.rate * wanted:
            self.base, self.rate = self.limit, rate
            self.hold, self.rest = 0, 1
            return
        first = self.factor == 2 and self.base == min(START, self.most)
        if first:
            self.factor, self.hold = 0.5, 0
        else:
            self.factor = 1 / STEP if self.factor > 1 else STEP
            self.hold, self.rest = self.rest, min(2 * self.rest, LONGEST_HOLD)
        self._go(self.base)

    def _try_another(self) -> None:
        """Try another number, unless the base is to be held for some rounds."""
        if self.hold > 0 and self.factor not in (2, 0.5):
            self.hold -= 1
            return
        wanted = round(self.base * self.factor)
        if wanted == self.base:
            wanted += 1 if self.factor > 1 else -1
        wanted = min(max(wanted, 1), self.most)
        if wanted == self.base:  # nothing that way
            self.factor = 1 / STEP if self.factor > 1 else STEP
            self.hold, self.rest = self.rest, min(2 * self.rest, LONGEST_HOLD)
            return
        self.trying = True
        self._go(wanted)

    def _go(self, limit: int) -> None:
        self.limit = min(max(limit, 1), self.most)
        self.round += 1
        self.latencies, self.peak = [], 0


class Flight:
    """Slots for requests in flight, as many as `climb` allows."""

    def __init__(self, climb: Climb, clock: Callable[[], float] = time.monotonic) -> None:
        self.climb = climb
        self.clock = clock
        self.flying = 0
        self.open_at = 0.0  # by `clock`: nothing is sent before
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def take_slot(self) -> AsyncIterator[None]:
        """Room for one request; how long the block takes is its latency, unless it raises.

        An exception with a true `overloaded` lowers the limit; nothing is sent for the seconds of
        its `wait`.
        """
        await self._enter()
        round, started = self.climb.round, self.clock()
        self.climb.peak = max(self.climb.peak, self.flying)
        try:
            yield
        except Exception as error:
            if getattr(error, "overloaded", False):
                self.climb.ease(round, self.flying)
            if (seconds := getattr(error, "wait", None)) is not None:
                self.wait(seconds)
            raise
        else:
            self.climb.count_answer(round, self.clock() - started)
        finally:
            self.flying -= 1
            self._wake()

    def wait(self, seconds: float) -> None:
        """Send nothing for some seconds."""
        self.open_at = max(self.open_at, self.clock() + seconds)

    async def _enter(self) -> None:
        while self.flying >= self.climb.limit:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        self.flying += 1
        if (pause := self.open_at - self.clock()) > 0:
            await asyncio.sleep(pause)

    def _wake(self) -> None:
        for _ in range(self.climb.limit - self.flying):
            if not self._waiting:
                return
            waiter = self._waiting.popleft()
            if not waiter.done():  # of a stage that is stopped
                waiter.set_result(None)
