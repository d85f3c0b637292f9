"""Tiny random models of many architectures: two layers, 32 wide, one tokenizer for all.

`ARCHITECTURES` names a configuration class of transformers and its settings. Nothing is downloaded:
the weights are drawn, far enough apart that a wrong position or mask changes the text they write.
Sliding windows are eight tokens, so that texts of a few words are longer than they are.
"""

from pathlib import Path
from typing import Any

from tests.tiny_models import tiny_tokenizer

VOCABULARY, CONTEXT = 384, 128
WIDTH = {"vocab_size": VOCABULARY, "hidden_size": 32}
PLAIN = WIDTH | {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
}
DENSE = PLAIN | {"intermediate_size": 64}
SHARED = DENSE | {"num_key_value_heads": 2}  # query heads share key-value heads
HEADS = SHARED | {"head_dim": 8}
OLD = {"vocab_size": VOCABULARY, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
WINDOW = {"sliding_window": 8}
MIXED = WINDOW | {"layer_types": ["sliding_attention", "full_attention"]}
TWO_OF_FOUR = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
EXPERTS = TWO_OF_FOUR | {"num_experts": 4}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
GROUPED_EXPERTS = TWO_OF_FOUR | {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
}
LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
SHARED_EXPERT = {"shared_expert_intermediate_size": 32}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
MAMBA_2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
CONV = {"layer_types": ["conv", "full_attention"]}
IMAGE = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
STATES = WIDTH | {"num_hidden_layers": 2, "state_size": 8}


def _rope(kind: str, **settings: Any) -> dict[str, Any]:
    scaling = {"rope_type": kind, "rope_theta": 10000.0} | settings
    return {"rope_parameters": scaling}


SCALED = {"original_max_position_embeddings": 64}
NEAR_FAR = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}

#: Architecture: the configuration's class in transformers, and its settings.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "apertus": ("ApertusConfig", SHARED),
    "arcee": ("ArceeConfig", SHARED),
    "bamba": ("BambaConfig", SHARED | MAMBA_2 | {"attn_layer_indices": [1]}),
    "biogpt": ("BioGptConfig", DENSE),
    "bloom": ("BloomConfig", WIDTH | {"n_layer": 2, "n_head": 4}),
    "codegen": ("CodeGenConfig", OLD | {"rotary_dim": 4}),
    "cohere": ("CohereConfig", SHARED | {"logit_scale": 1.0}),
    "cohere2": ("Cohere2Config", SHARED | MIXED | {"logit_scale": 1.0}),
    "deepseek_v2": ("DeepseekV2Config", SHARED | LATENT | GROUPED_EXPERTS),
    "deepseek_v3": ("DeepseekV3Config", SHARED | LATENT | GROUPED_EXPERTS),
    "diffllama": ("DiffLlamaConfig", SHARED),
    "ernie4_5": ("Ernie4_5Config", HEADS),
    "exaone4": ("Exaone4Config", SHARED | MIXED),
    "falcon": ("FalconConfig", PLAIN),
    "falcon_alibi": ("FalconConfig", PLAIN | {"alibi": True, "multi_query": False}),
    "falcon_h1": ("FalconH1Config", HEADS | MAMBA_2 | {"mamba_d_ssm": 64}),
    "gemma": ("GemmaConfig", HEADS),
    "gemma2": ("Gemma2Config", HEADS | WINDOW | {"query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3TextConfig", HEADS | MIXED | {"query_pre_attn_scalar": 8}),
    "gemma3_image": (
        "Gemma3Config",
        {
            "text_config": HEADS | MIXED | {"query_pre_attn_scalar": 8},
            "vision_config": IMAGE,
            "mm_tokens_per_image": 4,
            "image_token_index": 381,
            "boi_token_index": 382,
            "eoi_token_index": 383,
        },
    ),
    "glm4": ("Glm4Config", HEADS),
    "glm4_moe": ("Glm4MoeConfig", HEADS | GROUPED_EXPERTS),
    "gpt2": ("GPT2Config", OLD),
    "gpt_bigcode": ("GPTBigCodeConfig", OLD),
    "gpt_neo": (
        "GPTNeoConfig",
        WIDTH
        | {"num_layers": 2, "num_heads": 4, "max_position_embeddings": CONTEXT, "window_size": 8}
        | {"attention_types": [[["global", "local"], 1]]},
    ),
    "gpt_neox": ("GPTNeoXConfig", DENSE),
    "gpt_oss": ("GptOssConfig", HEADS | LOCAL_EXPERTS | MIXED | _rope("default")),
    "gptj": ("GPTJConfig", OLD | {"rotary_dim": 4}),
    "granite": ("GraniteConfig", SHARED),
    "granitemoe": ("GraniteMoeConfig", SHARED | LOCAL_EXPERTS),
    "granitemoehybrid": (
        "GraniteMoeHybridConfig",
        SHARED
        | LOCAL_EXPERTS
        | MAMBA_2
        | {"shared_intermediate_size": 32, "layer_types": ["mamba", "attention"]}
        | {"position_embedding_type": "rope"},
    ),
    "helium": ("HeliumConfig", HEADS),
    "hunyuan_v1_dense": ("HunYuanDenseV1Config", HEADS),
    "jamba": (
        "JambaConfig",
        SHARED
        | {"num_experts": 4, "num_experts_per_tok": 2, "mamba_d_state": 8, "mamba_dt_rank": 4}
        | {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    ),
    "lfm2": ("Lfm2Config", SHARED | CONV),
    "lfm2_moe": ("Lfm2MoeConfig", SHARED | CONV | EXPERTS | {"num_dense_layers": 1}),
    "llama": ("LlamaConfig", SHARED),
    "llama_rope3": ("LlamaConfig", SHARED | _rope("llama3", **SCALED, **NEAR_FAR)),
    "llama_yarn": ("LlamaConfig", SHARED | _rope("yarn", **SCALED, factor=2.0)),
    "mamba": ("MambaConfig", STATES),
    "mamba2": (
        "Mamba2Config",
        STATES | {"num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 16},
    ),
    "minimax": (
        "MiniMaxConfig",
        HEADS
        | LOCAL_EXPERTS
        | {"block_size": 16, "layer_types": ["linear_attention", "full_attention"]},
    ),
    "mistral": ("MistralConfig", SHARED | WINDOW),
    "mixtral": ("MixtralConfig", SHARED | LOCAL_EXPERTS),
    "mpt": (
        "MptConfig",
        {"vocab_size": VOCABULARY, "d_model": 32, "n_layers": 2, "n_heads": 4}
        | {"max_seq_len": CONTEXT, "expansion_ratio": 2},
    ),
    "nemotron": ("NemotronConfig", HEADS),
    "nemotron_h": (
        "NemotronHConfig",
        HEADS
        | {"layers_block_type": ["mamba", "attention"], "n_groups": 1}
        | {"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8},
    ),
    "olmo": ("OlmoConfig", SHARED),
    "olmo2": ("Olmo2Config", SHARED),
    "olmo3": ("Olmo3Config", SHARED | MIXED),
    "olmoe": ("OlmoeConfig", SHARED | {"num_experts": 4, "num_experts_per_tok": 2}),
    "opt": (
        "OPTConfig",
        PLAIN | {"ffn_dim": 64, "word_embed_proj_dim": 32},
    ),
    "persimmon": ("PersimmonConfig", DENSE),
    "phi": ("PhiConfig", DENSE),
    "phi3": ("Phi3Config", SHARED | {"sliding_window": 8}),
    "phimoe": ("PhimoeConfig", SHARED | {"num_local_experts": 4}),
    "qwen2": ("Qwen2Config", SHARED),
    "qwen2_moe": ("Qwen2MoeConfig", SHARED | EXPERTS | SHARED_EXPERT),
    "qwen3": ("Qwen3Config", HEADS),
    "qwen3_5": ("Qwen3_5TextConfig", HEADS | DELTA),
    "qwen3_moe": ("Qwen3MoeConfig", HEADS | EXPERTS),
    "qwen3_next": ("Qwen3NextConfig", HEADS | DELTA | EXPERTS | SHARED_EXPERT),
    "recurrent_gemma": (
        "RecurrentGemmaConfig",
        WIDTH
        | {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 1}
        | {"head_dim": 8, "intermediate_size": 96, "lru_width": 32, "attention_window_size": 16},
    ),
    "rwkv": ("RwkvConfig", WIDTH | {"num_hidden_layers": 2, "context_length": CONTEXT}),
    "seed_oss": ("SeedOssConfig", HEADS),
    "smollm3": ("SmolLM3Config", SHARED | {"no_rope_layers": [1, 0]}),
    "stablelm": ("StableLmConfig", SHARED),
    "starcoder2": ("Starcoder2Config", SHARED),
    "xglm": (
        "XGLMConfig",
        {"vocab_size": VOCABULARY, "d_model": 32, "num_layers": 2, "attention_heads": 4}
        | {"ffn_dim": 64, "max_position_embeddings": CONTEXT},
    ),
    "zamba2": (
        "Zamba2Config",
        DENSE
        | {"num_key_value_heads": 4, "layers_block_type": ["mamba", "hybrid"]}
        | {"mamba_d_state": 8, "mamba_ngroups": 1, "mamba_headdim": 8, "n_mamba_heads": 8}
        | {"num_mem_blocks": 1, "use_mem_rope": True},
    ),
}

#: Those that differ most: learned positions with and without functional dropout, biases by distance
#: with another mask, attention sinks, soft-caps, states beside attention, states alone, experts.
QUICK = ("gpt2", "opt", "bloom", "gpt_oss", "gemma2", "qwen3_next", "mamba2", "mixtral")


def build_config(name: str, **settings: Any):
    """The configuration of `ARCHITECTURES[name]`, with other `settings` where they are given."""
    import transformers

    kind, own = ARCHITECTURES[name]
    ends = {"bos_token_id": None, "eos_token_id": 3, "pad_token_id": 0}
    if "text_config" in own:
        own = own | {"text_config": own["text_config"] | ends}
    return getattr(transformers, kind)(**(own | ends | settings))


def build_model(name: str, seed: int = 0, spread: float = 0.2, **settings: Any):
    """The fp32 model of `build_config`, in evaluation mode; `spread` is added to its first weights.

    The weights depend on `seed` alone; the global random state of torch is left as it was.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(build_config(name, **settings)).eval()
    draw = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=draw))
    return model


def save_architecture(name: str, path: Path, seed: int = 0, **settings: Any) -> Path:
    """Save `build_model` with the tiny tokenizer and its chat template into `path`; return it."""
    path.mkdir(parents=True, exist_ok=True)
    build_model(name, seed, **settings).save_pretrained(path)
    tiny_tokenizer(VOCABULARY).save_pretrained(path)
    return path
