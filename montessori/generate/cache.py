"""Keys and values of earlier tokens in buffers that are written in place.

`DynamicCache` of transformers copies all earlier keys and values for each new token; with many
short rows this costs more than the model. Here a layer allocates room once.
"""

import torch
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    LinearAttentionCacheLayerMixin,
)
from transformers.configuration_utils import PreTrainedConfig


class BufferLayer(DynamicLayer):
    """A layer's keys and values, (rows, key-value heads, capacity, head dimension) each."""

    is_initialized: bool

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.length = 0

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *args: object,
        **kwargs: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states (rows, heads, new, dimension); views of all states so far."""
        if not self.is_initialized:
            self.keys, self.values = self._room(key_states), self._room(value_states)
            self.is_initialized = True
        start, self.length = self.length, self.length + key_states.shape[-2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_seq_length(self) -> int:
        """Number of tokens stored."""
        return self.length

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row `repeats` times, one after the other."""
        rows = torch.arange(self.keys.shape[0], device=self.keys.device)
        self.batch_select_indices(rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with the rows at `indices` (int64) only, in that order."""
        self.keys = self._select(self.keys, indices)
        self.values = self._select(self.values, indices)

    def _room(self, like: torch.Tensor, rows: int | None = None) -> torch.Tensor:
        heads, _, size = like.shape[1:]
        return like.new_empty(rows or like.shape[0], heads, self.capacity, size)

    def _select(self, states: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        chosen = self._room(states, len(rows))
        filled = slice(0, self.length)
        torch.index_select(states[:, :, filled], 0, rows, out=chosen[:, :, filled])
        return chosen


def buffer_cache(config: PreTrainedConfig, capacity: int) -> DynamicCache:
    """A cache for up to `capacity` tokens a row; layers with a sliding window stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [
        BufferLayer(capacity) if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    return cache


def holds_states(layer: object) -> bool:
    """Whether a cache's layer holds states that take in each token: linear attention, SSM, conv."""
    return isinstance(layer, LinearAttentionCacheLayerMixin)


def holds_keys(layer: object) -> bool:
    """Whether a cache's layer holds keys and values of tokens, alone or beside states."""
    return isinstance(layer, CacheLayerMixin)


def select_rows(cache: Cache, rows: torch.Tensor) -> None:
    """Go on with the rows at `rows` (int64) of a cache only, in that order.

    Layers with states have no selection of their own; their reordering for beam search is one.
    """
    for layer in cache.layers:
        if holds_states(layer):
            layer.reorder_cache(rows)
        else:
            layer.batch_select_indices(rows)
