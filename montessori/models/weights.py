"""Weights of a model folder: loaded safely, saved with the tokenizer that belongs to them."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from montessori.errors import MontessoriError
from montessori.models.fit import refuse_misfits, refuse_not_finite
from montessori.models.load_settings import (
    choose_attention,
    read_config,
    settle_model,
    use_plain_experts,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

#: Files of a tokenizer, copied as they are so that a model's line keeps its tokens and template.
TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template.jinja",
    "spiece.model",
    "sentencepiece*",
)


def load_model(
    folder: Path, dtype: "torch.dtype | None" = None, attention: str | None = None
) -> "PreTrainedModel":
    """The causal language model of a folder, on the CPU, from safetensors only, without network.

    It is fp32 unless `dtype` says otherwise, because an update at a small learning rate is lost in
    a bf16 weight. `attention` names an implementation that transformers knows; None is its own
    choice. There is no dropout, and scores that the config caps are computed by "eager" whatever
    `attention` says (models/load_settings.py).

    Raises MontessoriError when the folder holds no safetensors or no model that transformers can
    load, when a tensor is missing, unknown or of another shape (transformers would draw it at
    random), and when a weight is NaN or infinite.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    if not list(Path(folder).glob("*.safetensors")):
        raise MontessoriError(
            "the model folder has no weights",
            where=str(folder),
            expected="model.safetensors",
            next="run `dvc repro`, or `dvc pull` if the model was made elsewhere",
        )
    config, dtype = read_config(folder), dtype or torch.float32
    try:
        with _quiet_report():
            model, found = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                attn_implementation=choose_attention(config, attention),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # refuse_misfits names them
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        raise MontessoriError(
            f"the model cannot be loaded: {error}",
            where=str(folder),
            expected="a causal language model of an architecture that transformers knows",
            next="check the folder's config.json",
        ) from error
    refuse_misfits(found, folder)
    refuse_not_finite(model, folder)
    settle_model(model, dtype)
    return model


@contextmanager
def _quiet_report() -> Iterator[None]:
    """Without transformers' table of keys that do not fit: an error of ours has them."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def cast_parameters(model: "PreTrainedModel", dtype: "torch.dtype") -> "PreTrainedModel":
    """The model with its floating-point parameters in `dtype`; its buffers keep their format.

    `model.to(dtype=...)` would cast buffers too, and rotary frequencies in bf16 put a token of a
    long text at the wrong place. What transformers loads in a format keeps them in fp32 as well.
    """
    import torch

    if dtype == torch.float64:
        use_plain_experts(model)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)
    return model


def enable_checkpointing(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model in evaluation mode, but with activations recomputed in the backward pass.

    Recomputation is non-reentrant.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    model.eval().gradient_checkpointing_enable({"use_reentrant": False})
    # A checkpointed layer recomputes only in training mode. Dropout, in other modules, stays off.
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True
    return model


def save_model(model: "PreTrainedModel", start: Path, out: Path) -> None:
    """Write weights and config of `model` into `out`, and the tokenizer files of folder `start`."""
    model.save_pretrained(out)
    copy_files(Path(start), out, TOKENIZER_FILES)


def copy_files(start: Path, out: Path, patterns: Sequence[str]) -> None:
    """Copy the files of folder `start` that match any of `patterns` into folder `out`."""
    for file in matching_files(start, patterns):
        shutil.copyfile(file, out / file.name)


def matching_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files of a folder that match any of `patterns`, each once, sorted."""
    files: set[Path] = set()
    for pattern in patterns:
        files.update(folder.glob(pattern))
    return sorted(files)
