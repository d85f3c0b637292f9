"""What every engine does: continue prompts, each sample by a seed of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from montessori.stage import Machine


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    `temperature` 0 is greedy. `top_p` keeps the smallest set of tokens whose probability reaches
    it. `presence_penalty` is taken from the logit of each token generated before (not of prompt
    tokens). `max_new_tokens` bounds the tokens of a sample, its end token included.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    presence_penalty: float = 0.0


@dataclass(frozen=True)
class Request:
    """A prompt as token ids, and one seed (0 <= seed < 2**63) for each sample that is wanted."""

    ids: Sequence[int]
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Generated:
    """One sample: its text without the end token, its number of tokens without the end token.

    `finished` says that the model ended its turn itself; `request` and `sample` are positions in
    the call's requests and in the request's seeds.
    """

    text: str
    tokens: int
    finished: bool
    request: int
    sample: int


class Engine(Protocol):
    """A model that writes.

    The text of a sample depends on its prompt, its seed and the sampling settings, not on the
    other requests of a call (rounding of the model's logits aside).
    """

    tokenizer: "PreTrainedTokenizerFast"

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


def open_engine(folder: Path, machine: "Machine") -> Engine:
    """The engine for the model in `folder` on this machine.

    Raises MontessoriError when the folder holds no usable model.
    """
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine.open(folder, machine)
