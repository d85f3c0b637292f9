"""What every engine does: continue prompts, each sample by a seed of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Message = Mapping[str, str]
#: What an engine continues: token ids or, where only a server has the tokenizer, a dialogue.
Prompt = Sequence[int] | Sequence[Message]
#: The context, in tokens, where none is known.
UNBOUNDED = 10**9
#: Texts of first tokens and their log-probabilities.
FirstTokens = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    `temperature` 0 is greedy. `top_p` keeps the smallest set of tokens whose probability reaches
    it. `presence_penalty` is taken from the logit of each token generated before (not of prompt
    tokens). `max_new_tokens` bounds the tokens of a sample, its end token included. `logprobs` is
    how many of the likeliest first tokens are wanted with their log-probabilities. `stop` are texts
    behind which no more of a sample is wanted: an engine that can tell ends it there, as finished,
    with or without the text. Who asks for them cuts the sample.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    presence_penalty: float = 0.0
    logprobs: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A prompt of the engine's kind, and one seed (0 <= seed < 2**63) for each sample wanted."""

    prompt: Prompt
    seeds: tuple[int, ...] = (0,)

    @property
    def ids(self) -> Sequence[int]:
        """The prompt as token ids, of an engine that has a tokenizer."""
        return cast(Sequence[int], self.prompt)


@dataclass(frozen=True)
class Generated:
    """One sample: its text without the end token, its number of tokens without the end token.

    `finished` says that the model ended its turn itself; `request` and `sample` are positions in
    the call's requests and in the request's seeds. `first` are the likeliest first tokens with
    their log-probabilities (nats, before temperature and penalties), likeliest first; empty where
    they were not asked for, or a server does not tell. `thought` is what the model wrote before
    its answer (models/thinking.py): it is neither in `text` nor in `tokens`, unless there is no
    answer behind it; `tokens` are then those of the thought. `refused` says why a server gave no
    text that can be used ("content filter", "tool call", "refused", "context"); "" where it did.
    """

    text: str
    tokens: int
    finished: bool
    request: int
    sample: int
    first: FirstTokens = ()
    thought: str = ""
    refused: str = ""

    @property
    def known_tokens(self) -> int | None:
        """Its tokens; None where a server has written a text and does not count it."""
        return None if not self.tokens and (self.text or self.thought) else self.tokens


class Engine(Protocol):
    """A model that writes.

    The text of a sample depends on its prompt, its seed and the sampling settings, not on the
    other requests of a call (rounding of the model's logits aside).
    """

    @property
    def tokenizer(self) -> "PreTrainedTokenizerFast | None":
        """The tokenizer of its token ids; None where only a server has it."""
        ...

    @property
    def limit(self) -> int:
        """The context in tokens, prompt and sample together; UNBOUNDED where it is not known."""
        ...

    @property
    def special_texts(self) -> tuple[str, ...]:
        """Texts that stand for special tokens, as far as they are known; no row may hold one."""
        ...

    def render_prompts(self, dialogues: Sequence[Sequence[Message]]) -> Sequence[Prompt]:
        """Dialogues that the assistant is to continue, as this engine's prompts."""
        ...

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Generated]:
        """All samples of all requests, ordered by (request, sample).

        `on_done(n)` is called whenever n more samples are finished.
        """
        ...
