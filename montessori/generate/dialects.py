"""The two ways to ask a server: token ids to be continued, or a dialogue to be answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from montessori.artifacts.halves import mend_text
from montessori.generate.engine import UNBOUNDED, Message, Prompt, Sampling
from montessori.generate.ledger import Answer
from montessori.generate.local import LocalModel, folder_facts
from montessori.generate.omission import LOGPROBS
from montessori.generate.shapes import (
    Usage,
    count_answer,
    read_end,
    read_first,
    read_message,
    read_model,
    read_usage,
)
from montessori.models.hosted import HostedModel
from montessori.models.thinking import COMMON, Parted, part_thought

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from transformers import PreTrainedTokenizerFast


class Dialect(Protocol):
    """How prompts become requests and answers become text."""

    @property
    def tokenizer(self) -> "PreTrainedTokenizerFast | None":
        """See `Engine.tokenizer`."""
        ...

    @property
    def limit(self) -> int:
        """See `Engine.limit`."""
        ...

    @property
    def special_texts(self) -> tuple[str, ...]:
        """See `Engine.special_texts`."""
        ...

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> Sequence[Prompt]:
        """See `Engine.render_prompts`."""
        ...

    def count_tokens(self, prompt: Any) -> int:
        """An upper bound of the prompt's tokens."""
        ...

    def answer_room(self, prompt: Any, wanted: int) -> int:
        """New tokens that a prompt may have, at most `wanted`."""
        ...

    def client_method(self, client: "AsyncOpenAI") -> Callable[..., Any]:
        """The client's method that sends a request."""
        ...

    def request_body(self, prompt: Any, seed: int, sampling: Sampling, room: int) -> dict[str, Any]:
        """The request, without the model."""
        ...

    def part_thought(self, text: str, tokens: int, prompt: Any) -> Parted:
        """A sample of `tokens` tokens without the thought that it begins with."""
        ...

    def read_answer(self, answer: Any) -> tuple[Answer, Usage]:
        """A server's answer, and its usage as far as it gives one.

        Raises KeyError, IndexError, TypeError, ValueError or AttributeError for anything else.
        """
        ...


class Completions(LocalModel):
    """Token ids of a model folder's own chat template, at .../completions.

    `vllm` says that the server is vLLM: it then stops at the same ids as the other engines,
    samples by the given settings alone and answers in token ids, so that the text comes from the
    same tokenizer. Other servers stop at the texts of the end ids.
    """

    def __init__(self, folder: Path, vllm: bool) -> None:
        super().__init__(folder)
        eos, self.limit = folder_facts(folder)
        self.end_ids = self.find_end_ids(eos)
        self.vllm = vllm
        self.extra: dict[str, Any]
        if vllm:
            self.extra = {"extra_body": {
                "stop_token_ids": sorted(self.end_ids), "return_token_ids": True,
                "skip_special_tokens": False, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
            }}  # fmt: skip
        else:
            self.extra = {"stop": self.decode_texts([[i] for i in sorted(self.end_ids)])[:4]}

    def count_tokens(self, prompt: Sequence[int]) -> int:
        """The prompt's tokens."""
        return len(prompt)

    def answer_room(self, prompt: Sequence[int], wanted: int) -> int:
        """`wanted`, as far as the context reaches."""
        return min(wanted, self.limit - len(prompt))

    def client_method(self, client: "AsyncOpenAI") -> Callable[..., Any]:
        """Of completions."""
        return client.completions.with_raw_response.create

    def request_body(
        self, prompt: Sequence[int], seed: int, sampling: Sampling, room: int
    ) -> dict[str, Any]:
        """A prompt of token ids."""
        asked = {"prompt": list(prompt), "max_tokens": room, **_sampling_fields(seed, sampling)}
        if sampling.logprobs:
            asked["logprobs"] = sampling.logprobs
        if not sampling.stop:
            return asked | self.extra
        # The end ids of vLLM are beside its stop texts; other servers take four texts in all.
        ends = [] if self.vllm else self.extra["stop"]
        return asked | self.extra | {"stop": [*sampling.stop, *ends][:4]}

    def read_answer(self, answer: Any) -> tuple[Answer, Usage]:
        """The text of the answer's token ids or, without them, the server's own."""
        choice = answer["choices"][0]
        end, ids, first = read_end(choice), choice.get("token_ids"), read_first(choice)
        if not isinstance(ids, list):
            text, thought, refused = read_message(choice)
            usage = read_usage(answer, text)
            tokens = self._count_tokens(text) if usage[1] is None else usage[1]
            refused = end.refused or refused
            rest = first, thought, refused, read_model(answer)
            return Answer(text, tokens, end.finished, *rest), usage
        usage = read_usage(answer, "")
        if end.finished and ids and ids[-1] in self.end_ids:
            ids = ids[:-1]
        text = self.decode_texts([ids])[0]
        rest = first, "", end.refused, read_model(answer)
        return Answer(text, len(ids), end.finished, *rest), usage


@dataclass(frozen=True)
class Chat:
    """Dialogues, rendered by the server's own chat template, at .../chat/completions."""

    hosted: HostedModel
    special_texts: tuple[str, ...] = ()
    tokenizer: None = None
    limit: int = UNBOUNDED

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> list[list[Message]]:
        """The dialogues as they are; halves of characters cannot be sent."""
        return [
            [{name: mend_text(text)[0] for name, text in message.items()} for message in dialogue]
            for dialogue in dialogues
        ]

    def count_tokens(self, prompt: Sequence[Message]) -> int:
        """Bytes, with 16 for each turn: no tokenizer makes more tokens than bytes."""
        return 16 + sum(16 + len(message["content"].encode()) for message in prompt)

    def answer_room(self, prompt: Sequence[Message], wanted: int) -> int:
        """`wanted`: only the server knows its context."""
        return wanted

    def client_method(self, client: "AsyncOpenAI") -> Callable[..., Any]:
        """Of chat completions."""
        return client.chat.completions.with_raw_response.create

    def request_body(
        self, prompt: Sequence[Message], seed: int, sampling: Sampling, room: int
    ) -> dict[str, Any]:
        """A dialogue, without the settings that the model's file says to omit."""
        asked = {"messages": [dict(message) for message in prompt], self.hosted.limit: room}
        if sampling.logprobs:
            asked |= {LOGPROBS: True, "top_logprobs": sampling.logprobs}
        asked |= _sampling_fields(seed, sampling)
        omit = {*self.hosted.omit, *(["top_logprobs"] if LOGPROBS in self.hosted.omit else [])}
        return {name: value for name, value in asked.items() if name not in omit}

    def part_thought(self, text: str, tokens: int, prompt: Sequence[Message]) -> Parted:
        """The same; the answer has its share of the tokens by its share of the characters."""

        def share(part: str) -> int:
            # 0 tokens of a text would say that the server does not count.
            least = 1 if tokens and part else 0
            return max(least, round(tokens * len(part) / len(text)))

        return part_thought(Parted(text, tokens), COMMON, "", share)

    def read_answer(self, answer: Any) -> tuple[Answer, Usage]:
        """The assistant's message; none at all counts as empty.

        Servers that part thoughts themselves give them as reasoning_content or reasoning.
        """
        choice = answer["choices"][0]
        end, message = read_end(choice), read_message(choice)
        usage = read_usage(answer, message.text)
        tokens, refused = count_answer(answer, usage[1], message), end.refused or message.refused
        rest = read_first(choice), message.thought, refused, read_model(answer)
        return Answer(message.text, tokens, end.finished and not refused, *rest), usage


def _sampling_fields(seed: int, sampling: Sampling) -> dict[str, Any]:
    return {
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
    }
