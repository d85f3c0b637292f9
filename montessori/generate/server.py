"""An OpenAI-compatible server: one try at a request, and the server's problems in words.

Tries after the first are made by who asks (generate/tries.py), which also decides how many requests
are in flight; so the openai package makes none.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from montessori.errors import MontessoriError
from montessori.generate.body_limit import ASKED, TooLarge, limit_answer
from montessori.generate.hidden_key import hide_key, hide_key_in
from montessori.generate.reasons import (
    cut_reason,
    is_filtered,
    is_too_long,
    read_reason,
)
from montessori.generate.shapes import FILTERED, REFUSED
from montessori.models.address import base_url, is_loopback

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two tries, as in the openai package
LONGEST_RETRY_AFTER = 120.0  # seconds that a server may ask to wait
TIMEOUT = 600.0  # seconds for an answer
LONGEST_DRAIN = 60.0  # seconds for a server to end requests that nobody waits for any more
TIMEOUTS = 3  # tries that may time out: the server may work on each, and bill it
_OVERLOADED = frozenset({408, 429, 502, 503, 504, 529})  # perhaps by too many requests at once
_PASSING = _OVERLOADED | {409, 425}  # beside all from 500
#: What reading JSON of another shape raises.
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
CONTEXT = "context"  # why a prompt is refused that does not fit
T = TypeVar("T")
Create = Callable[..., Awaitable[Any]]


class Unusable(Exception):
    """An answer that is no completion, which may have been paid for; with what it says.

    `empty` says that it is in order but for its list of choices, which is empty.
    """

    def __init__(self, message: str, empty: bool = False) -> None:
        super().__init__(message)
        self.empty = empty


class Unanswered(Exception):
    """No answer, but perhaps one at the next try; `error` is what to say if there is none.

    wait: seconds in which nothing is to be sent, None if the server asks for none. overloaded:
    there may have been too many requests at once. timed_out: the server may have been at work all
    the time.
    """

    def __init__(
        self, error: MontessoriError, wait: float | None, overloaded: bool, timed_out: bool = False
    ) -> None:
        super().__init__(error.what)
        self.error, self.wait = error, wait
        self.overloaded, self.timed_out = overloaded, timed_out

    def give_up(self, tries: int) -> MontessoriError:
        """The error where the last of `tries` tries had no answer either."""
        self.error.what += f", after {tries} tries" if tries > 1 else ""
        return self.error


class Refused(Exception):
    """A request that the server will never answer as it is; with the server's whole reason."""

    @property
    def kind(self) -> str:
        """How a prompt that is refused so is counted."""
        if is_too_long(str(self)):
            return CONTEXT
        return FILTERED if is_filtered(str(self)) else REFUSED


@dataclass(frozen=True)
class Server:
    """Where to ask for which model. The key is in no text that leaves this object.

    `key_env` is the name of the environment variable that `key` came from, for errors.
    """

    url: str
    model: str
    key_env: str = ""
    key: str | None = field(default=None, repr=False)
    retries: int = 6

    def open_client(self, retries: int = 0) -> openai.AsyncOpenAI:
        """A client, to be closed by `async with`; a server on this machine is asked directly."""
        return openai.AsyncOpenAI(
            base_url=base_url(self.url),
            api_key=self.key or "none",
            max_retries=retries,
            timeout=TIMEOUT,
            default_headers={"accept-encoding": ASKED},
            http_client=openai.DefaultAsyncHttpxClient(
                trust_env=not is_loopback(self.url), event_hooks={"response": [limit_answer]}
            ),
        )

    async def request_answer(
        self, create: Create, body: dict[str, Any], read: Callable[[Any], T]
    ) -> T:
        """What `read` makes of the JSON that the server answers to one request.

        Raises Unusable for an answer that cannot be read, Refused for a request that the server
        takes for a wrong one, Unanswered where another try may help, and MontessoriError for
        anything else that it refuses.
        """
        try:
            async with asyncio.timeout(TIMEOUT):  # httpx's is for each piece of an answer
                raw = await create(**body)
        except TooLarge as error:
            raise Unusable(str(error)) from None
        except TimeoutError:
            raise self._timed_out() from None
        except openai.NotFoundError as error:
            raise await self._no_model(error) from None
        except openai.APIError as error:
            raise self._refusal(error) or self._failure(error) from None
        return self._read(raw.text, read)

    def unusable_error(self, text: str) -> MontessoriError:
        """The error for answers that stay unusable."""
        return self._error(
            f"what the server answers is no completion, {self.retries + 1} times in a row: {text}",
            expected="JSON with a choice and its text: choices[0].message.content (or .text)",
            next="look at the server's log, then dvc repro; finished answers are kept",
        )

    def refused_error(
        self, reason: str, names: tuple[str, ...], counts: str = ""
    ) -> MontessoriError:
        """The error for requests that are all refused; `names` are settings that the reason names.

        `counts` says how many.
        """
        shown = ", ".join(f'"{name}"' for name in names) or '"seed"'
        return self._error(
            f"the server refuses a request{counts}: {cut_reason(reason)}",
            expected="prompts and max_new_tokens that fit the model's context, and a server that "
            "knows the settings of the section that asks (instruction, response, judge, ...)",
            next="what the server does not know is left out by a line of the model's .json file, "
            f'"omit": [{shown}] (docs/how-to/servers.md); for a prompt that is too long, lower '
            "max_new_tokens or the number of examples, or start the server with a larger context "
            "(--max-model-len)",
        )

    async def list_models(self) -> list[dict[str, Any]]:
        """What the server says of the models it has. Raises MontessoriError if it says nothing."""
        try:
            async with self.open_client(retries=1) as client, asyncio.timeout(TIMEOUT):
                raw = await client.models.with_raw_response.list()
        except TooLarge:
            raise self._no_server() from None
        except TimeoutError:
            raise self._timed_out().error from None
        except openai.NotFoundError:
            raise self._no_server() from None
        except openai.APIError as error:
            raise self._problem(error) from None
        try:
            return [dict(entry) for entry in json.loads(raw.text)["data"] if entry["id"]]
        except _UNREADABLE:
            raise self._no_server() from None

    def no_model_error(self, names: list[str]) -> MontessoriError:
        """The error for a server without the model, with what it has instead."""
        listed = ", ".join(map(self.hide_key, names[:20])) or "no model"
        return self._error(
            f"the server has no model {self.model!r}; it has {listed}",
            expected=f"a server of {self.model}",
            next=f"start one: vllm serve {self.model} --port {urlsplit(self.url).port or 8000} "
            "(docs/how-to/engines.md), or name a model that the server has",
        )

    def hide_key(self, text: str) -> str:
        """Text of the server without the key, should it repeat it."""
        return hide_key(text, self.key)

    async def _no_model(self, error: openai.APIError) -> MontessoriError:
        try:
            return self.no_model_error([str(entry["id"]) for entry in await self.list_models()])
        except MontessoriError:
            return self._problem(error)

    def _read(self, text: str, read: Callable[[Any], T]) -> T:
        """What `read` makes of an answer with status 200. Raises Unusable."""
        try:
            value = hide_key_in(json.loads(text), self.key)
        except (ValueError, RecursionError):
            raise Unusable(self._reason(text)) from None
        try:
            return read(value)
        except _UNREADABLE as problem:
            choices = value.get("choices") if isinstance(value, dict) else None
            found = f"{problem!r} in " if choices else ""
            raise Unusable(found + self._reason(text), empty=choices == []) from None

    def _problem(self, error: openai.APIError) -> MontessoriError:
        """What has no answer, in words."""
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return self._refused_key(error)
        if isinstance(error, openai.APITimeoutError):
            return self._timed_out().error
        if isinstance(error, openai.APIStatusError):
            reason = cut_reason(self._reason(error.response.text))
            return self._again(f"the server answers with status {error.status_code}: {reason}")
        if isinstance(error, openai.APIConnectionError):
            return self._unreachable(error)
        return self._again(f"the server's answer cannot be read: {self._reason(str(error))}")

    def _timed_out(self) -> Unanswered:
        problem = self._again(f"the server gave no answer within {TIMEOUT:g} s")
        drain = min(TIMEOUT, LONGEST_DRAIN)
        return Unanswered(problem, drain, overloaded=True, timed_out=True)

    def _failure(self, error: openai.APIError) -> Unanswered | MontessoriError:
        """A problem that may have passed at the next try, or one that will not."""
        problem = self._problem(error)
        if isinstance(error, openai.APITimeoutError):
            return self._timed_out()
        if not isinstance(error, openai.APIStatusError):
            return Unanswered(problem, None, overloaded=False)
        status, wait = error.status_code, _seconds_asked(error.response.headers)
        if status not in _PASSING and status < 500:
            return problem
        if wait is not None and wait > LONGEST_RETRY_AFTER:
            problem.what += f" (it asks to wait {wait:,.0f} s)"
            return problem
        return Unanswered(problem, wait, overloaded=status in _OVERLOADED)

    def _refusal(self, error: openai.APIError) -> Refused | None:
        """The refusal of this very request; None for every other problem."""
        if not isinstance(error, openai.APIStatusError):
            return None
        status, reason = error.status_code, self._reason(error.response.text)
        named = "logprob" in reason.lower()
        if status in (400, 413, 422) or (status in (403, 501) and named):
            return Refused(reason)
        return Refused(reason) if status == 403 and is_filtered(reason) else None

    def _reason(self, body: str) -> str:
        """The reason in a body, without the key."""
        return self.hide_key(read_reason(self.hide_key(body)))

    def _refused_key(self, error: openai.APIStatusError) -> MontessoriError:
        if self.key is None:
            name = self.key_env or "of your choice, and its name as machine.server_key_env"
            what, next = "the server wants a key, and there is none", f"in the variable {name}"
        else:
            what, next = "the server refuses the key", f"in the variable {self.key_env}"
        return self._error(
            f"{what} (status {error.status_code})",
            expected=f"a valid key {next}",
            next=f"export {self.key_env or 'OPENAI_API_KEY'}=..., then dvc repro",
        )

    def _unreachable(self, error: openai.APIConnectionError) -> MontessoriError:
        cause = error.__cause__
        reason = self._reason(str(cause) or type(cause).__name__)
        port = urlsplit(self.url).port or 8000
        return self._error(
            f"the server cannot be reached: {reason[:200]}",
            expected="a running OpenAI-compatible server",
            next=f"start one: vllm serve {self.model} --port {port} (docs/how-to/engines.md), "
            "then dvc repro; finished answers are kept",
        )

    def _no_server(self) -> MontessoriError:
        return self._error(
            "what answers there is no OpenAI-compatible server; is the port taken by another?",
            expected="a list of models at .../models",
            next="set machine.server to the address with /v1, or start the server on a free port",
        )

    def _again(self, what: str) -> MontessoriError:
        return self._error(
            what,
            expected="a server that answers",
            next="wait or lower machine.server_requests, then dvc repro; finished answers are kept",
        )

    def _error(self, what: str, *, expected: str, next: str) -> MontessoriError:
        return MontessoriError(
            what, where=f"{base_url(self.url)}, model {self.model}", expected=expected, next=next
        )


def seconds_to_wait(attempt: int) -> float:
    """Seconds before the next try: doubling from half a second, a quarter of it random."""
    return float(min(FIRST_WAIT * 2**attempt, LONGEST_WAIT)) * (1 - 0.25 * random.random())


def _seconds_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds of Retry-After, a number or a date; None without one that can be read."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError, OverflowError):
        return None
