"""How a model is built from its config: the same numbers each time, on every path of the pipeline.

transformers decides some of this by what is installed, or leaves it to a checkpoint's author.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

#: Probabilities that make a training step random: dropout, layer dropout, noise on routers.
_NOISE = re.compile(r"drop|jitter")
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def read_config(folder: Path) -> "PreTrainedConfig":
    """The config of a model folder, without dropout and other noise of training.

    All of them are 0: the published runs train without, and influence would be computed under
    dropout where a layer applies it by itself (OPT). Raises MontessoriError for an architecture
    that transformers does not know.
    """
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # configs check their values by many kinds of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MontessoriError(
            f"the model's config cannot be used: {reason}",
            where=str(Path(folder) / "config.json"),
            expected=f"an architecture that transformers {transformers.__version__} has; code of "
            "a model folder is never run",
            next="take a model of another architecture, or install a newer transformers",
        ) from error
    remove_noise(config)
    return config


def remove_noise(config: "PreTrainedConfig") -> None:
    """Set every probability of dropout and router noise in a config, and in its parts, to 0."""
    for part in _parts_of(config):
        for name, value in list(vars(part).items()):
            if isinstance(value, float) and value and _NOISE.search(name):
                setattr(part, name, 0.0)


def _parts_of(config: "PreTrainedConfig") -> Iterator["PreTrainedConfig"]:
    from transformers import PreTrainedConfig

    yield config
    for value in list(vars(config).values()):
        if isinstance(value, PreTrainedConfig):
            yield from _parts_of(value)


def choose_attention(config: "PreTrainedConfig", wanted: str | None) -> str | None:
    """The attention to load a model with: "eager" where scores are capped, else `wanted`.

    Of the implementations that transformers has on every device only "eager" applies
    attn_logit_softcapping (Gemma-2); sdpa leaves it out without a word.
    """
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return "eager" if capped else wanted


def settle_model(model: "PreTrainedModel", dtype: "torch.dtype") -> None:
    """Change a loaded model where its number format, saving or training would fail or be random."""
    import torch

    if dtype == torch.float64:
        use_plain_experts(model)
    for module in model.modules():  # of architectures that do not ask their config
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0
    make_savable(model)


def use_plain_experts(model: "PreTrainedModel") -> None:
    """Let experts be computed one by one: the fused kernel has no fp64."""
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")


def make_savable(model: "PreTrainedModel") -> None:
    """Drop generation settings that contradict each other: saving would fail after all training.

    Loading only warns of `temperature` without `do_sample`. Token ids stay; no stage uses the rest.
    """
    settings = getattr(model, "generation_config", None)
    if settings is None:
        return
    try:
        settings.validate(strict=True)
    except ValueError:
        kept = {name: getattr(settings, name) for name in _TOKEN_IDS}
        model.generation_config = type(settings)(**kept)
