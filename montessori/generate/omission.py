"""Settings that a server does not know: which of a request to leave out when it refuses one."""

import re
from collections.abc import Mapping
from typing import Any

from montessori.generate.reasons import find_names, is_filtered, is_too_long

#: Settings that may be left out; a server then has its own.
SETTINGS = ("seed", "temperature", "top_p", "presence_penalty")
#: The two names of the most tokens of an answer; one of them is always sent.
LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
LOGPROBS = "logprobs"
#: What a server does that is sent no such setting (OpenAI's API).
NEUTRAL: Mapping[str, float] = {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0}
_UNKNOWN = re.compile(
    r"not (supported|permitted|allowed|recogni[sz]ed|accepted)|un(known|supported|recogni[sz]ed"
    r"|expected)|extra|additional|forbidden",
    re.IGNORECASE,
)


def leave_out(body: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """A request without some settings; the most tokens of an answer get their other name."""
    kept = {name: value for name, value in body.items() if name not in names}
    if LOGPROBS in names:
        kept.pop("top_logprobs", None)
    for name in names & LIMITS.keys() & body.keys():
        kept[LIMITS[name]] = body[name]
    return kept


def find_refused(reason: str, sent: Mapping[str, Any]) -> frozenset[str]:
    """What to leave out of a request that was sent and refused; empty where nothing may help.

    A request for log-probabilities that is refused without a word on anything else is worth a try
    without them.
    """
    if LOGPROBS in sent and "logprob" in reason.lower():
        return frozenset({LOGPROBS})
    if named := find_names(reason, [name for name in SETTINGS if name in sent]):
        return frozenset(named)
    known = is_too_long(reason) or is_filtered(reason)
    for name in () if known else find_names(reason, [name for name in LIMITS if name in sent]):
        if find_names(reason, [LIMITS[name]]) or _UNKNOWN.search(reason):
            return frozenset({name})
    return frozenset({LOGPROBS}) if LOGPROBS in sent and not known else frozenset()


def changes_text(names: frozenset[str], body: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of the settings left out of `body` without which a server may write another text."""
    values = {name: body[name] for name in SETTINGS if name in names and name in body}
    return tuple(name for name, value in values.items() if NEUTRAL.get(name) != value)
