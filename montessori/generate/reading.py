"""How a model reads texts: with a cache or without, padded or in batches of equal length.

Not every architecture takes padding at the left, or hands its states on with their rows: some let
padding into their states, some have no cache. `choose_way` finds out on two short texts, by the
model's own forward pass on each of them alone.
"""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache, DynamicCache

from montessori.errors import MontessoriError
from montessori.generate.attention import GROUPED, takes_grouped
from montessori.generate.cache import buffer_cache, holds_keys, holds_states, select_rows
from montessori.generate.engine import UNBOUNDED
from montessori.models.padding import pad_with_mask

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

LOG = logging.getLogger(__name__)

#: Difference of logits, in their standard deviations, that rounding alone does not make.
TOLERANCE = {torch.float64: 0.01, torch.float32: 0.01}
COARSE = 0.2  # of the shorter number formats
#: What a model raises that cannot be read in a way.
UNREADABLE = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
LENGTHS = (9, 3)  # tokens of the two texts
STEPS = 3  # tokens that are read one by one


@dataclass(frozen=True)
class Way:
    """What may share a batch, and what is kept between tokens.

    padded: texts of different lengths share a batch, padded at the left. cached: what was read is
    not read again. joined: a cache goes on with several tokens at once, padded at the right.
    """

    padded: bool
    cached: bool
    joined: bool

    def __str__(self) -> str:
        batch = "padded at the left" if self.padded else "texts of equal length in a batch"
        return f"{batch}, {'cached' if self.cached else 'read anew for each token'}"


#: From the fastest to what every model can do; `joined` is decided by the cache.
WAYS = (Way(True, True, True), Way(False, True, False), Way(False, False, False))


class Texts:
    """Rows in the middle of a text.

    `capacity` is the most tokens of a row that are cached: room for them is taken once. 0 lets the
    cache grow, which is faster for one or two passes.
    """

    def __init__(self, model: "PreTrainedModel", way: Way, capacity: int) -> None:
        self.model, self.way = model, way
        self.names = set(inspect.signature(model.forward).parameters)
        self.cache: Cache | None = None
        if way.cached:
            growing = DynamicCache(config=model.config)
            self.cache = buffer_cache(model.config, capacity) if capacity else growing
        self.ids: torch.Tensor | None = None  # all tokens so far, where nothing is cached

    def read(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, keep: int = 1
    ) -> torch.Tensor:
        """Logits (rows, keep, vocabulary) after the last `keep` tokens (0: all) of `ids`.

        `ids` (rows, new) are tokens that were not read yet. `mask` (rows, all tokens so far) is 0
        at padding; `positions` (rows, new) are the tokens'.
        """
        if self.cache is None:
            self.ids = ids if self.ids is None else torch.cat([self.ids, ids], dim=1)
            given: dict[str, Any] = {"input_ids": self.ids, "use_cache": False}
        else:
            given = self._cached_arguments(self.cache, ids, mask, positions)
            given["logits_to_keep"] = keep
        known = {name: value for name, value in given.items() if name in self.names}
        logits: torch.Tensor = self.model(**known).logits
        return logits[:, -keep or -ids.shape[1] :]

    def select_rows(self, rows: torch.Tensor) -> None:
        """Go on with the rows at `rows` (int64) only, in that order; a row may occur twice."""
        if self.ids is not None:
            self.ids = self.ids[rows]
        if self.cache is not None:
            select_rows(self.cache, rows)

    def _cached_arguments(
        self, cache: Cache, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor
    ) -> dict[str, Any]:
        name = "past_key_values" if "past_key_values" in self.names else "cache_params"
        given = {
            "input_ids": ids,
            "position_ids": positions,
            name: cache,
            "use_cache": True,
        }
        # A model without attention holds earlier tokens in its states: the mask is for new ones.
        states_alone = not any(map(holds_keys, cache.layers))
        if self.way.padded and not (states_alone and ids.shape[1] == 1):
            given["attention_mask"] = mask
        return given


def left_positions(mask: torch.Tensor) -> torch.Tensor:
    """Positions (rows, width) of tokens that are padded at the left; 0 at the padding."""
    return (mask.cumsum(-1) - 1).clamp_(min=0)


def has_rotary(model: "PreTrainedModel") -> bool:
    """Whether positions are angles alone, with no table of the context's length to look them up in.

    Older models with rotary embeddings keep a table of masks of that length.
    """
    text = model.config.get_text_config(decoder=True)
    rotary = bool(getattr(text, "rope_parameters", None))
    return rotary and bool(model._supports_attention_backend)


def steady_length(config: "PreTrainedConfig") -> int:
    """Tokens up to which the angles of positions are the same in every batch; else UNBOUNDED.

    With "longrope" (Phi-3) transformers chooses them for a whole batch by its longest text
    (5.19, modeling_rope_utils.dynamic_rope_update).
    """
    whole = getattr(config.get_text_config(decoder=True), "rope_parameters", None) or {}
    parts = [whole, *(part for part in whole.values() if isinstance(part, Mapping))]
    changing = [part for part in parts if part.get("rope_type") == "longrope"]
    lengths = [part.get("original_max_position_embeddings") for part in changing]
    return min((length for length in lengths if length), default=UNBOUNDED)


def choose_way(model: "PreTrainedModel", ids: Sequence[int]) -> Way:
    """The first of `WAYS` in which `model` reads as it does by itself.

    Its attention becomes the grouped one where that gives the same numbers. `ids` are the tokens
    of some text, at least a dozen. Raises MontessoriError when the model cannot be run at all.
    """
    texts = [list(ids[:length]) for length in (LENGTHS[0] + STEPS, LENGTHS[1] + STEPS)]
    with torch.inference_mode():
        try:
            expected = [_read_alone(model, text) for text in texts]
        except UNREADABLE as error:
            raise _not_run(model, error) from error
        own = [(model.config._attn_implementation, way) for way in WAYS[:-1]]
        tried = [(GROUPED, WAYS[0]), *own] if takes_grouped(model) else own
        for attention, way in tried:
            if model.config._attn_implementation != attention:
                model.set_attn_implementation(attention)
            if _reads_alike(model, way, texts, expected):
                return _with_joined(model, way)
    return WAYS[-1]


def _read_alone(model: "PreTrainedModel", text: list[int]) -> torch.Tensor:
    """Logits (1 + STEPS, vocabulary) of the last tokens of `text`, by one pass without a cache."""
    ids = torch.tensor([text], device=model.device)
    names = inspect.signature(model.forward).parameters
    given = {"use_cache": False} if "use_cache" in names else {}
    logits: torch.Tensor = model(input_ids=ids, **given).logits
    return logits[0, -1 - STEPS :].float()


def _reads_alike(
    model: "PreTrainedModel", way: Way, texts: list[list[int]], expected: list[torch.Tensor]
) -> bool:
    """Whether `model` has the `expected` logits when it reads `texts` in this way."""
    batches = [[0, 1]] if way.padded else [[0], [1]]
    try:
        for batch in batches:
            found = _read_together(model, way, [texts[i] for i in batch])
            for i, logits in zip(batch, found, strict=True):
                if not _is_close(logits, expected[i], model.dtype):
                    return False
    except UNREADABLE as error:
        LOG.debug("%s cannot be read %s: %s", type(model).__name__, way, error)
        return False
    return True


def _read_together(
    model: "PreTrainedModel", way: Way, texts: list[list[int]]
) -> list[torch.Tensor]:
    """Logits (1 + STEPS, vocabulary) of each text, as the engine reads them: all but the last
    tokens at once, rows selected, then token by token."""
    ids, mask = pad_with_mask(texts, 0, model.device, left=True)
    positions = left_positions(mask)
    width = ids.shape[1] - STEPS
    order = [*reversed(range(len(texts))), 0]  # other rows in another order than were read
    rows = torch.tensor(order, device=model.device)
    state = Texts(model, way, ids.shape[1])
    logits = [state.read(ids[:, :width], mask[:, :width], positions[:, :width])[rows]]
    state.select_rows(rows)
    ids, mask, positions = ids[rows], mask[rows], positions[rows]
    for end in range(width + 1, ids.shape[1] + 1):
        new = slice(end - 1, end)
        logits.append(state.read(ids[:, new], mask[:, :end], positions[:, new]))
    stacked = torch.cat(logits, dim=1).float()  # (rows, 1 + STEPS, vocabulary)
    return [stacked[order.index(i)] for i in range(len(texts))]


def _is_close(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether most of the rows of two (tokens, vocabulary) logits are equal but for rounding.

    Most, because rounding may lead a token to another expert.
    """
    spread = expected.std(dim=-1).clamp(min=1e-12)
    errors = (found - expected).square().mean(dim=-1).sqrt() / spread  # (tokens,)
    return bool(errors.median() <= TOLERANCE.get(dtype, COARSE))


def _with_joined(model: "PreTrainedModel", way: Way) -> Way:
    """`way`, joined only where every layer of the cache holds keys and values."""
    layers = buffer_cache(model.config, 1).layers
    attention = bool(layers) and not any(map(holds_states, layers))
    return Way(way.padded, way.cached, attention and way.padded)


def _not_run(model: "PreTrainedModel", error: Exception) -> MontessoriError:
    return MontessoriError(
        f"the model cannot read a text: {type(error).__name__}: {error}",
        where=f"{model.config.name_or_path}, {type(model).__name__}",
        expected="a causal language model that transformers runs on this machine",
        next="see whether transformers alone runs it, or take another model",
    )
