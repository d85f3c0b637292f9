"""Attention of one new token per row without copying keys and values for each query head.

Registered with transformers under the name GROUPED; every other shape goes to its own sdpa path.
Only models that would take sdpa by themselves get it: see `takes_grouped`.
"""

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

GROUPED = "montessori_grouped"


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[torch.Tensor, None]:
    """Attention output (rows, new, heads, dimension) for `query` (rows, heads, new, dimension).

    With one new token the heads that share a key-value head (Ainslie et al., 2023) become query
    positions of it, so that keys and values are read where they lie.
    """
    rows, heads, new, size = query.shape
    shared = key.shape[1]
    plain = set(kwargs) <= {"position_ids", "use_cache", "is_causal"}
    if new != 1 or heads == shared or not plain:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **kwargs
        )
    folded = query.reshape(rows, shared, heads // shared, size)
    output = torch.nn.functional.scaled_dot_product_attention(
        folded, key, value, attn_mask=attention_mask, scale=scaling
    )
    return output.reshape(rows, 1, heads, size), None


def register_attention() -> str:
    """Make GROUPED known to transformers, with the masks of sdpa; returns its name."""
    AttentionInterface.register(GROUPED, grouped_attention)
    AttentionMaskInterface.register(GROUPED, sdpa_mask)
    return GROUPED


def takes_grouped(model: PreTrainedModel) -> bool:
    """Whether GROUPED stands for what `model` does by itself; it is registered then.

    So it is where transformers chose sdpa and the model calls attention by name. Attention sinks
    and soft-caps need another one, and older models have their own code.
    """
    own = model.config.get_text_config(decoder=True)._attn_implementation
    by_name = model._supports_attention_backend and model._can_set_attn_implementation()
    if own != "sdpa" or not by_name:
        return False
    register_attention()
    return True
