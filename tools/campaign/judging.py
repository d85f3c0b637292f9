"""How a case ended: the verdict on a command's status and on what it said."""

import re
from dataclasses import dataclass

from tools.campaign.case import ACCEPT, REFUSE
from tools.campaign.child import TIMED_OUT

LONGEST = 20_000  # characters of a message
PASS, CRASH, ACCEPTED, REFUSED = "pass", "crash", "accepted", "refused"
LITTER, MESSAGE = "litter", "message"
#: Verdicts, the good one first: see `judge_end` and `judge_traces`.
VERDICTS = (PASS, CRASH, ACCEPTED, REFUSED, LITTER, MESSAGE)
TRACE = re.compile(
    r"Traceback \(most recent call last\)|panicked at|Segmentation fault|Fatal Python error"
)
#: Words by which a message says what would be right.
EXPECTED = re.compile(
    r"expected:| is not | are not | is no |do not|: name |is missing|unknown|did you mean|one of|"
    r"\(known: |does not|did not|below|above|beyond|has no |not in |no such|not found|"
    r"is empty|is blank|at least|at most|call it |is expected|"
    r"in a circle|must |\bonly\b| instead|needs? |cannot |more than|not valid|holds? | twice|"
    r"no permission|write the whole|are required|leads to itself|a folder, where|too long|"
    r"\bhas\b|Invalid value|Missing ",
    re.I,
)


@dataclass(frozen=True)
class Verdict:
    """One of VERDICTS, and notes on it."""

    word: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traces:
    """What a case left behind: new outputs and temporary files, changed params, code that ran."""

    left: tuple[str, ...] = ()
    params_changed: bool = False
    code_ran: bool = False


@dataclass(frozen=True)
class Result:
    """A case that has run; `text` is the end of what its commands wrote."""

    kind: str
    name: str
    want: str
    status: int
    verdict: str
    notes: tuple[str, ...] = ()
    text: str = ""


def judge_end(want: str, where: str, status: int, text: str) -> Verdict:
    """The verdict on a status and a message.

    crash: traceback, signal or no end. accepted: status 0 for what cannot be right. refused: an
    error for what is right. message: an error without its place, what is right, or the next step,
    or a long one.
    """
    if status == TIMED_OUT:
        return Verdict(CRASH, ("no end",))
    if TRACE.search(text) or status < 0 or status >= 128:
        lines = [line for line in text.splitlines() if line.strip()]
        return Verdict(CRASH, (f"status {status}", *(line[:200] for line in lines[-1:])))
    if status == 0:
        return Verdict(ACCEPTED if want == REFUSE else PASS)
    if want == ACCEPT:
        return Verdict(REFUSED, (text.strip()[:200],))
    missing = find_missing(where, text)
    return Verdict(MESSAGE, missing) if missing else Verdict(PASS)


def find_missing(where: str, text: str) -> tuple[str, ...]:
    """What a message of an error lacks."""
    missing = []
    if where and not re.search(where, text, re.S):
        missing.append("where")
    if not EXPECTED.search(text):
        missing.append("expected")
    if "next:" not in text and "usage:" not in text.lower():
        missing.append("next")
    if len(text) > LONGEST:
        missing.append(f"{len(text):,} characters")
    return tuple(missing)


def judge_traces(verdict: Verdict, status: int, traces: Traces) -> Verdict:
    """The verdict once the folder has been looked at: code that ran, then what was left behind.

    litter: an error left an output, a temporary file or another params.yaml.
    """
    if traces.code_ran:
        return Verdict(CRASH, ("code of the input was run",))
    if status == 0 or verdict.word == CRASH:
        return verdict
    if traces.params_changed:
        return Verdict(LITTER, ("params.yaml changed",))
    if traces.left:
        return Verdict(LITTER, (f"left: {', '.join(traces.left[:4])}",))
    return verdict
