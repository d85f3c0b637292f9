"""Weights of the commonest architectures, known without torch: transformers takes seconds to start.

Only "yes" counts here. Whatever is not exactly as expected is left to transformers' own loader
(models/fit.py), which also says what is wrong.
"""

from collections.abc import Mapping
from typing import Any

from montessori.models.headers import PLAIN_FLOATS, Tensor

Shapes = dict[str, tuple[int, ...]]
#: Architectures that are laid out like Llama, and whether queries, keys and values have biases
#: (transformers 5.19, models/*/modeling_*.py).
_BIASED = {"llama": False, "mistral": False, "qwen2": True}


_FORMATS = ("float64", "float32", "float16", "bfloat16", None)


def has_plain_layout(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Whether `tensors` are exactly the weights that a config.json of a known architecture wants.

    Every size must stand in the config: no default of transformers is repeated here.
    """
    biased = _BIASED.get(str(config.get("model_type")))
    unusual = ("quantization_config", "attention_bias", "mlp_bias")
    if biased is None or any(config.get(name) for name in unusual):
        return False
    if not _has_usual_values(config) or config.get("num_hidden_layers", 0) > len(tensors):
        return False
    try:
        wanted = _llama_shapes(config, biased)
    except (KeyError, TypeError, ZeroDivisionError):
        return False
    plain = all(tensor.format in PLAIN_FLOATS for tensor in tensors.values())
    return plain and wanted == {name: tensor.shape for name, tensor in tensors.items()}


def _has_usual_values(config: Mapping[str, Any]) -> bool:
    """Whether the settings that no shape shows are such as these architectures have."""
    numbers = ("num_hidden_layers", "max_position_embeddings")
    rotary = [config.get(name) for name in ("rope_parameters", "rope_scaling")]
    return (
        all(type(config.get(name)) is int and config[name] > 0 for name in numbers)
        and config.get("hidden_act") == "silu"
        and config.get("dtype", config.get("torch_dtype")) in _FORMATS
        and isinstance(config.get("rms_norm_eps"), float)
        and all(value is None or isinstance(value, Mapping) for value in rotary)
    )


def _llama_shapes(config: Mapping[str, Any], biased: bool) -> Shapes:
    """The names and shapes. Raises KeyError for a size that the config leaves to a default."""
    width, inner, heads = (
        config[name] for name in ("hidden_size", "intermediate_size", "num_attention_heads")
    )
    size = config.get("head_dim") or width // heads
    queries, keys = heads * size, config["num_key_value_heads"] * size
    layer = {
        "input_layernorm.weight": (width,),
        "post_attention_layernorm.weight": (width,),
        "self_attn.q_proj.weight": (queries, width),
        "self_attn.k_proj.weight": (keys, width),
        "self_attn.v_proj.weight": (keys, width),
        "self_attn.o_proj.weight": (width, queries),
        "mlp.gate_proj.weight": (inner, width),
        "mlp.up_proj.weight": (inner, width),
        "mlp.down_proj.weight": (width, inner),
    }
    if biased:
        sizes = {"q": queries, "k": keys, "v": keys}
        layer |= {f"self_attn.{name}_proj.bias": (length,) for name, length in sizes.items()}
    table = (config["vocab_size"], width)
    shapes: Shapes = {"model.embed_tokens.weight": table, "model.norm.weight": (width,)}
    for number in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = table
    return shapes
