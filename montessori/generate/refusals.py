"""Prompts that a server refuses: each costs its own sample, all together are an error.

Until the first answer nobody can tell a refused prompt from a wrong setting. So refusals enter the
ledger only behind an answer to the same settings, and a stage stops before it has sent much.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from montessori.errors import MontessoriError
from montessori.generate.ledger import Answer, Cost, Ledger
from montessori.generate.omission import LIMITS, SETTINGS
from montessori.generate.reasons import cut_reason, find_names
from montessori.generate.server import Server
from montessori.generate.shapes import REFUSED

LOG = logging.getLogger(__name__)
#: Different prompts that are refused without any answer, after which a stage stops.
FIRST = 8


@dataclass(frozen=True)
class Refusal:
    """A sample that the server refused: its key, its prompt's, how it counts, the whole reason."""

    key: str
    prompt: str
    kind: str
    reason: str


@dataclass
class Refusals:
    """Those of one engine and one sampling.

    `answered` says that the server has answered a request like these; `waiting` are refusals before
    it has. `warned` are the kinds that a warning has told, for all samplings of an engine.
    """

    server: Server
    ledger: Ledger
    answered: bool = False
    waiting: list[Refusal] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)

    def count_answer(self) -> None:
        """Note that the server has answered; earlier refusals were then of their prompts alone."""
        self.answered = True
        self._keep(self.waiting)
        self.waiting = []

    def count_refusal(self, refusal: Refusal) -> None:
        """Count a refused sample. Raises MontessoriError when all of the first ones are refused."""
        if self.answered:
            self._keep([refusal])
            return
        self.waiting.append(refusal)
        if len({one.prompt for one in self.waiting}) >= FIRST:
            raise self._error()

    def end_call(self) -> None:
        """Settle what is left when all was asked.

        Raises MontessoriError when nothing was ever answered, unless it was a single prompt and the
        reason is one of prompts.
        """
        if not self.waiting:
            return
        several = len({one.prompt for one in self.waiting}) > 1
        unknown = any(one.kind == REFUSED for one in self.waiting)
        paid = any(not answer.refused for answer in self.ledger.answers.values())
        if not paid and (several or unknown):
            raise self._error()
        self._keep(self.waiting)
        self.waiting = []

    def _keep(self, refusals: Iterable[Refusal]) -> None:
        for one in refusals:
            self.ledger.add_answer(one.key, Answer("", 0, False, refused=one.kind), Cost())
            if one.kind not in self.warned:
                self.warned.add(one.kind)
                LOG.warning(
                    "the server refuses a prompt, which counts as %r, as all others that it "
                    "refuses so: %s",
                    one.kind,
                    cut_reason(one.reason),
                )

    def _error(self) -> MontessoriError:
        last, number = self.waiting[-1], len(self.waiting)
        names = find_names(last.reason, (*SETTINGS, *LIMITS))
        self.waiting = []
        counts = f" ({number} of {number}, and it has answered none)" if number > 1 else ""
        return self.server.refused_error(last.reason, names, counts)
