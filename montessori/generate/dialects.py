"""The two ways to ask a server: token ids to be continued, or a dialogue to be answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from montessori.generate.engine import UNBOUNDED, FirstTokens, Message, Prompt, Sampling
from montessori.generate.ledger import Answer
from montessori.generate.local import LocalModel, folder_facts
from montessori.models.hosted import HostedModel
from montessori.models.thinking import COMMON, Parted, part_thought

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from transformers import PreTrainedTokenizerFast

Usage = tuple[int, int]  # tokens of the prompt and of the completion


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

    def read_answer(self, answer: Any) -> tuple[Answer, Usage | None]:
        """A server's answer; its usage where it gives one.

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

    def read_answer(self, answer: Any) -> tuple[Answer, Usage | None]:
        """The text of the answer's token ids or, without them, the server's own."""
        choice, usage = answer["choices"][0], _read_usage(answer)
        finished = choice["finish_reason"] == "stop"
        ids = choice.get("token_ids")
        first = _first_of_completion(choice)
        if ids is None:
            return Answer(
                _require_text(choice["text"]), usage[1] if usage else 0, finished, first
            ), usage
        if finished and ids and ids[-1] in self.end_ids:
            ids = ids[:-1]
        return Answer(self.decode_texts([ids])[0], len(ids), finished, first), usage


@dataclass(frozen=True)
class Chat:
    """Dialogues, rendered by the server's own chat template, at .../chat/completions."""

    hosted: HostedModel
    special_texts: tuple[str, ...] = ()
    tokenizer: None = None
    limit: int = UNBOUNDED

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> list[list[Message]]:
        """The dialogues as they are."""
        return [list(dialogue) for dialogue in dialogues]

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
        """A dialogue."""
        asked = {"messages": [dict(message) for message in prompt], self.hosted.limit: room}
        if sampling.logprobs:
            asked |= {"logprobs": True, "top_logprobs": sampling.logprobs}
        return asked | _sampling_fields(seed, sampling)

    def part_thought(self, text: str, tokens: int, prompt: Sequence[Message]) -> Parted:
        """The same; the answer has its share of the tokens by its share of the characters."""
        return part_thought(
            Parted(text, tokens), COMMON, "", lambda part: round(tokens * len(part) / len(text))
        )

    def read_answer(self, answer: Any) -> tuple[Answer, Usage | None]:
        """The assistant's message; none at all counts as empty.

        Servers that part thoughts themselves give them as reasoning_content or reasoning.
        """
        choice, usage = answer["choices"][0], _read_usage(answer)
        message = choice["message"]
        text = _require_text(message["content"] or "")
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        finished = choice["finish_reason"] == "stop"
        tokens, first = usage[1] if usage else 0, _first_of_chat(choice)
        return Answer(text, tokens, finished, first, str(thought)), usage


def _first_of_chat(choice: Any) -> FirstTokens:
    """The likeliest first tokens of a chat completion; empty where the server does not tell."""
    content = (choice.get("logprobs") or {}).get("content") or []
    listed = content[0].get("top_logprobs") if content else None
    return tuple((str(one["token"]), float(one["logprob"])) for one in listed or ())


def _first_of_completion(choice: Any) -> FirstTokens:
    """The same of a completion, where they are a mapping of texts to log-probabilities."""
    listed = (choice.get("logprobs") or {}).get("top_logprobs") or []
    pairs = ((str(text), float(value)) for text, value in (listed[0] if listed else {}).items())
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def _require_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is no text")
    return value


def _sampling_fields(seed: int, sampling: Sampling) -> dict[str, Any]:
    return {
        "seed": seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
    }


def _read_usage(answer: Any) -> Usage | None:
    usage = answer.get("usage")
    if usage is None:
        return None
    return int(usage["prompt_tokens"]), int(usage["completion_tokens"])
