"""The engine that asks an OpenAI-compatible server: one request a sample, many in flight."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.artifacts.files import folder_digest
from montessori.errors import MontessoriError
from montessori.generate.budget import Budget, Limits
from montessori.generate.dialects import Chat, Completions, Dialect
from montessori.generate.engine import Generated, Message, Prompt, Request, Sampling
from montessori.generate.flight import Climb, Flight
from montessori.generate.ledger import Answer, Ledger, sample_key
from montessori.generate.refusals import Refusals
from montessori.generate.server import TIMEOUT, Server
from montessori.generate.tries import Desk, Learned, MissingSample, Tries
from montessori.models.hosted import HostedModel, Prices, warn_undated

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from montessori.pipeline.machine import Machine

Secret = Callable[[str], str | None]
EMPTY = Answer("", 0, False)  # of a prompt that leaves no room in the context


@dataclass
class OpenAIEngine:
    """A model behind a server.

    `identity` is what answers belong to in the ledger, beside prompt, seed and sampling: another
    model's answers are never picked up. `most` is the number of requests in flight at most.
    """

    server: Server
    dialect: Dialect
    ledger: Ledger
    identity: str
    prices: Prices = Prices()
    limits: Limits = Limits()
    most: int = 64

    def __post_init__(self) -> None:
        flight = Flight(Climb(self.most, TIMEOUT / 3))
        learned, shared = Learned(), (self.server, self.dialect, self.ledger, self.prices)
        self.desk = Desk(*shared, flight, learned)
        self.refusals: dict[Sampling, Refusals] = {}
        self.warned: set[str] = set()

    @property
    def tokenizer(self) -> "PreTrainedTokenizerFast | None":
        """See `Engine`; None for hosted models."""
        return self.dialect.tokenizer

    @property
    def limit(self) -> int:
        """See `Engine`; UNBOUNDED for hosted models."""
        return self.dialect.limit

    @property
    def special_texts(self) -> tuple[str, ...]:
        """See `Engine`; unknown for hosted models."""
        return self.dialect.special_texts

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> Sequence[Prompt]:
        """See `Engine`."""
        return self.dialect.render_prompts(dialogues)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Generated]:
        """All samples of all requests, ordered by (request, sample); see `Engine`.

        Answers that the ledger has are not asked for again. A prompt that the server refuses gives
        a sample with `refused`. Raises MontessoriError when the server fails for good, refuses
        everything, or the budget ends; what was in flight is then kept first.
        """
        keys = {
            (i, k): self.sample_key(request.prompt, seed, sampling)
            for i, request in enumerate(requests)
            for k, seed in enumerate(request.seeds)
        }
        asyncio.run(self._ask(list(self._wanted(requests, keys, sampling)), sampling, on_done))
        answers = {place: self.ledger.answers.get(key, EMPTY) for place, key in keys.items()}
        return [answer.at_place(i, k) for (i, k), answer in answers.items()]

    def sample_key(self, prompt: Prompt, seed: int, sampling: Sampling) -> str:
        """The key of a sample in the ledger."""
        return sample_key(self.identity, prompt, seed, sampling)

    def _wanted(
        self,
        requests: Sequence[Request],
        keys: Mapping[tuple[int, int], str],
        sampling: Sampling,
    ) -> Iterator[MissingSample]:
        """What must be asked for, each key once."""
        seen = set(self.ledger.answers)
        for (i, k), key in keys.items():
            room = self.dialect.answer_room(requests[i].prompt, sampling.max_new_tokens)
            if key not in seen and room > 0:
                seen.add(key)
                yield MissingSample(key, requests[i].prompt, requests[i].seeds[k], room)

    async def _ask(
        self, wanted: list[MissingSample], sampling: Sampling, on_done: Callable[[int], None] | None
    ) -> None:
        """Have all that is wanted answered; after a failure nothing more is sent."""
        new = Refusals(self.server, self.ledger, warned=self.warned)
        refusals = self.refusals.setdefault(sampling, new)
        failures: list[MontessoriError] = []
        waiting = iter(wanted)

        async def work() -> None:
            for sample in waiting:
                try:
                    await tries.ask_for(sample)
                except MontessoriError as error:
                    failures.append(error)
                    tries.stopped = True
                if tries.stopped:
                    return
                if on_done is not None:
                    on_done(1)

        async with self.server.open_client() as client:
            budget = Budget(self.limits, self.ledger)
            create = self.dialect.client_method(client)
            tries = Tries(self.desk, create, budget, sampling, refusals)
            await asyncio.gather(*(work() for _ in range(min(self.most, len(wanted)))))
        if failures:
            raise failures[0]
        refusals.end_call()


# --------------------------------------------------------------------------------------- opening
def open_hosted(
    hosted: HostedModel, machine: "Machine", ledger: Path, secret: Secret
) -> OpenAIEngine:
    """The engine for a hosted model. Raises MontessoriError without its key or prices."""
    warn_undated(hosted.model)
    server = Server(
        hosted.server, hosted.model, hosted.key_env, _read_key(hosted.key_env, secret),
        machine.server_retries,
    )  # fmt: skip
    if machine.max_usd and hosted.usd_per_million == Prices():
        raise MontessoriError(
            f"a budget in USD needs the prices of {hosted.model}",
            where="machine.max_usd in params.yaml",
            expected='"usd_per_million": {"input": ..., "output": ...} in the model\'s .json file',
            next="add the prices, or set machine.max_tokens instead",
        )
    return OpenAIEngine(
        server, Chat(hosted), Ledger(ledger), f"{hosted.server} {hosted.model}",
        hosted.usd_per_million, Limits(machine.max_usd, machine.max_tokens),
        machine.server_requests,
    )  # fmt: skip


def open_served(folder: Path, machine: "Machine", ledger: Path, secret: Secret) -> OpenAIEngine:
    """The engine for a model folder that the server of machine.server has loaded.

    Raises MontessoriError when there is no server, or it does not have this model.
    """
    if not machine.server:
        raise MontessoriError(
            "engine openai has no server to ask",
            where="machine.server in params.yaml",
            expected="an address such as http://localhost:8000/v1",
            next=f"vllm serve {folder} --port 8000, then set machine.server "
            "(docs/how-to/engines.md)",
        )
    name = machine.server_key_env
    key = _read_key(name, secret)
    server = Server(machine.server, str(folder), name, key, machine.server_retries)
    entry = find_served_model(server, folder)
    return OpenAIEngine(
        replace(server, model=str(entry["id"])),
        Completions(folder, vllm=entry.get("owned_by") == "vllm"),
        Ledger(ledger),
        folder_digest(folder),
        limits=Limits(machine.max_usd, machine.max_tokens),
        most=machine.server_requests,
    )


def find_served_model(server: Server, folder: Path) -> dict[str, Any]:
    """What the server says of the model in `folder`.

    A server has it under the folder's path, its last two parts (models/teacher), or as `root`.
    """
    entries = asyncio.run(server.list_models())
    folder = Path(folder)
    names = {str(folder), str(folder.resolve()), "/".join(folder.parts[-2:])}
    for entry in entries:
        if {str(entry["id"]).rstrip("/"), str(entry.get("root")).rstrip("/")} & names:
            return entry
    raise server.no_model_error([str(entry["id"]) for entry in entries])


def _read_key(name: str, secret: Secret) -> str | None:
    """The key in the environment variable `name`; None where no key is needed."""
    if not name:
        return None
    key = secret(name)
    if key:
        return key
    raise MontessoriError(
        "there is no key for the server",
        where=f"environment variable {name}",
        expected="the key that the server's provider gave you",
        next=f"export {name}=..., then dvc repro",
    )
