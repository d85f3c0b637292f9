"""Models for training: loaded as fp32 from safetensors, saved in the layout of a model folder."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from montessori.errors import MontessoriError

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


def load_model(folder: Path, device: "torch.device") -> "PreTrainedModel":
    """The causal language model of a folder with fp32 weights on `device`, without network.

    fp32 because an update at a small learning rate is lost in a bf16 weight. Raises MontessoriError
    when the folder holds no safetensors or no model that transformers can load.
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
            next="dvc repro, or dvc pull if the model was made elsewhere",
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        raise MontessoriError(
            f"the model cannot be loaded: {error}",
            where=str(folder),
            expected="a causal language model of an architecture that transformers knows",
            next="check the folder's config.json",
        ) from error
    return model.to(device)


def save_model(model: "PreTrainedModel", start: Path, out: Path) -> None:
    """Write weights and config of `model` into `out`, and the tokenizer files of folder `start`."""
    model.save_pretrained(out)
    for pattern in TOKENIZER_FILES:
        for file in sorted(Path(start).glob(pattern)):
            shutil.copyfile(file, out / file.name)
