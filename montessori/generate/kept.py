"""A model of this machine whose answers are kept as soon as they are there, like a server's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from montessori.generate.engine import Engine, Generated, Message, Prompt, Request, Sampling
from montessori.generate.ledger import Answer, Cost, Ledger, sample_key

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PART = 256  # requests between two writes


class EngineWithLedger(Engine, Protocol):
    """An engine that never writes the same sample twice: its ledger has it by key."""

    ledger: Ledger

    def sample_key(self, prompt: Prompt, seed: int, sampling: Sampling) -> str:
        """The key of a sample in the ledger."""
        ...


@dataclass
class RecordedEngine:
    """An engine and the ledger of what it wrote; `identity` is what its answers belong to.

    A sample costs its tokens and no money. What a kill takes are the samples of one part.
    """

    engine: Engine
    ledger: Ledger
    identity: str

    @property
    def tokenizer(self) -> "PreTrainedTokenizerFast | None":
        """See `Engine`."""
        return self.engine.tokenizer

    @property
    def limit(self) -> int:
        """See `Engine`."""
        return self.engine.limit

    @property
    def special_texts(self) -> tuple[str, ...]:
        """See `Engine`."""
        return self.engine.special_texts

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> Sequence[Prompt]:
        """See `Engine`."""
        return self.engine.render_prompts(dialogues)

    def sample_key(self, prompt: Prompt, seed: int, sampling: Sampling) -> str:
        """See `EngineWithLedger`."""
        return sample_key(self.identity, prompt, seed, sampling)

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Generated]:
        """All samples of all requests, ordered by (request, sample); see `Engine`."""
        keys = {
            (i, k): self.sample_key(request.prompt, seed, sampling)
            for i, request in enumerate(requests)
            for k, seed in enumerate(request.seeds)
        }
        wanted: dict[str, Request] = {}
        for (i, k), key in keys.items():
            if key not in self.ledger.answers:
                wanted[key] = Request(requests[i].prompt, (requests[i].seeds[k],))
        for start in range(0, len(wanted), PART):
            self._write(dict(list(wanted.items())[start : start + PART]), sampling, on_done)
        answers = {place: self.ledger.answers[key] for place, key in keys.items()}
        return [answer.at_place(i, k) for (i, k), answer in answers.items()]

    def _write(
        self,
        wanted: dict[str, Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None,
    ) -> None:
        """Have some samples written, and keep them."""
        written = self.engine.generate(list(wanted.values()), sampling, on_done)
        for (key, request), one in zip(wanted.items(), written, strict=True):
            answer = Answer(one.text, one.tokens, one.finished, one.first, one.thought)
            self.ledger.add_answer(key, answer, Cost(len(request.prompt), one.tokens))
