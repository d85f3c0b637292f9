"""An OpenAI-compatible server: requests with retries, and its problems in words.

The openai package retries 408, 409, 429 (after Retry-After), 5xx, cut connections and timeouts;
an answer that cannot be used is asked for again here.
"""

import json
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from montessori.errors import MontessoriError
from montessori.models.address import base_url, is_loopback

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between two tries, as in the openai package
TIMEOUT = 600.0  # seconds for an answer
T = TypeVar("T")
_LONG = re.compile(r"context_length_exceeded|maximum context length|context window|is too long")
Create = Callable[..., Awaitable[Any]]


class Unusable(Exception):
    """An answer that is no completion, which may have been paid for; with how it begins."""


class Refused(Exception):
    """A request that the server will never answer as it is; what is to be told of it."""

    def __init__(self, message: str, error: MontessoriError) -> None:
        super().__init__(message)
        self.error = error

    @property
    def too_long(self) -> bool:
        """Whether prompt and answer do not fit the model's context."""
        return _LONG.search(str(self)) is not None

    @property
    def no_logprobs(self) -> bool:
        """Whether the server gives no log-probabilities."""
        return "logprob" in str(self)


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

    def open_client(self, retries: int | None = None) -> openai.AsyncOpenAI:
        """A client, to be closed by `async with`; a server on this machine is asked directly."""
        return openai.AsyncOpenAI(
            base_url=base_url(self.url),
            api_key=self.key or "none",
            max_retries=self.retries if retries is None else retries,
            timeout=TIMEOUT,
            http_client=openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(self.url)),
        )

    async def request_answer(
        self, create: Create, body: dict[str, Any], read: Callable[[Any], T]
    ) -> T:
        """What `read` makes of the JSON that the server answers.

        Raises Unusable for an answer that cannot be read, Refused for a request that the server
        takes for a wrong one, and MontessoriError for anything else that it refuses or when the
        client's tries are used up.
        """
        try:
            raw = await create(**body)
        except openai.NotFoundError as error:
            raise await self._no_model(error) from None
        except openai.APIError as error:
            raise self._refusal(error) or self._problem(error) from None
        try:
            return read(json.loads(raw.text))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise Unusable(self.hide_key(raw.text)[:80]) from None

    def unusable_error(self, text: str) -> MontessoriError:
        """The error for answers that stay unusable."""
        return self._error(
            f"what the server answers is no completion, {self.retries + 1} times in a row: "
            f"{text!r}",
            expected="JSON with a choice and its text",
            next="look at the server's log, then dvc repro; finished answers are kept",
        )

    async def list_models(self) -> list[dict[str, Any]]:
        """What the server says of the models it has. Raises MontessoriError if it says nothing."""
        try:
            async with self.open_client(retries=1) as client:
                raw = await client.models.with_raw_response.list()
        except openai.NotFoundError:
            raise self._no_server() from None
        except openai.APIError as error:
            raise self._problem(error) from None
        try:
            return [dict(entry) for entry in json.loads(raw.text)["data"] if entry["id"]]
        except (ValueError, KeyError, TypeError):
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
        return text.replace(self.key, "[key]") if self.key else text

    async def _no_model(self, error: openai.APIError) -> MontessoriError:
        try:
            return self.no_model_error([str(entry["id"]) for entry in await self.list_models()])
        except MontessoriError:
            return self._problem(error)

    def _problem(self, error: openai.APIError) -> MontessoriError:
        """What the client has given up on, in words."""
        if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
            return self._refused_key(error)
        if isinstance(error, openai.APITimeoutError):
            return self._again(f"the server gave no answer within {TIMEOUT:g} s")
        if isinstance(error, openai.APIStatusError) and error.status_code in (400, 413, 422):
            return self._refused_request(error)
        if isinstance(error, openai.APIStatusError):
            return self._again(f"the server answers {self.hide_key(error.message)[:300]}")
        if isinstance(error, openai.APIConnectionError):
            return self._unreachable(error)
        return self._again(f"the server's answer cannot be read: {self.hide_key(str(error))[:300]}")

    def _refusal(self, error: openai.APIError) -> Refused | None:
        """The refusal of this very request; None for every other problem."""
        text = f"{getattr(error, 'code', '')} {error.message}".lower()
        status = getattr(error, "status_code", None)
        if status in (400, 413, 422) or (status == 403 and "logprob" in text):
            return Refused(self.hide_key(text), self._problem(error))
        return None

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

    def _refused_request(self, error: openai.APIStatusError) -> MontessoriError:
        return self._error(
            f"the server refuses a request: {self.hide_key(error.message)[:300]}",
            expected="a prompt and max_new_tokens that fit the model's context, and a server that "
            "knows the settings of sections instruction and response",
            next="lower max_new_tokens or the number of examples, or start the server with a "
            "larger context (--max-model-len)",
        )

    def _unreachable(self, error: openai.APIConnectionError) -> MontessoriError:
        cause = error.__cause__
        reason = self.hide_key(str(cause) or type(cause).__name__)
        port = urlsplit(self.url).port or 8000
        return self._error(
            f"the server cannot be reached: {reason[:200]}, after several tries",
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
            f"{what}, after {self.retries + 1} tries",
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
