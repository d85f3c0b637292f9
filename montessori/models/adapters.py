"""LoRA adapters (arXiv 2106.09685): small matrices that are trained instead of all parameters."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.graph.limits import Positive, Whole
from montessori.models.headers import list_names, read_header
from montessori.models.weights import TOKENIZER_FILES, copy_files, load_model

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

FOLDER = "adapter"  # inside a model folder
WEIGHTS = "adapter_model.safetensors"
MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    *TOKENIZER_FILES,
)


@dataclass(frozen=True)
class AdapterParams:
    """Section `adapter`: how a student is trained, in its warm-up and in SFT."""

    rank: Whole
    alpha: Positive


NO_ADAPTERS = AdapterParams(rank=0, alpha=1.0)


def add_adapters(model: "PreTrainedModel", settings: AdapterParams, seed: int) -> "PreTrainedModel":
    """The model with new adapters on all linear layers but the last; only the adapters train.

    With rank 0 it is the model as it is. `seed` draws the adapters' first weights. Raises
    MontessoriError for an architecture whose layers take none.
    """
    if not settings.rank:
        return model
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules="all-linear",
        exclude_modules=_layers_of_their_own(model) or None,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:  # peft knows layers whose weights are read without being called
        raise MontessoriError(
            f"the model takes no adapters: {error}",
            where=f"{model.config.name_or_path}, {type(model).__name__}",
            expected="an architecture whose linear layers peft can adapt",
            next="set adapter.rank: 0 in params.yaml to train all parameters, then `dvc repro`",
        ) from error


def _layers_of_their_own(model: "PreTrainedModel") -> list[str]:
    """Linear layers that compute something else, such as routers that return a choice of experts.

    peft would put the output of a plain linear layer in place of theirs.
    """
    from torch.nn import Linear

    plain = Linear.forward
    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, Linear)]
    return [name for name, layer in layers if type(layer).forward is not plain]


def merge_adapters(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model with its adapters, if it has any, added to its weights."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def save_adapters(model: "PreTrainedModel", start: Path, out: Path) -> None:
    """Write the adapters into `out`/adapter, beside a copy of the model in folder `start`."""
    copy_files(Path(start), out, MODEL_FILES)
    model.save_pretrained(out / FOLDER)


def find_adapters(folder: Path) -> Path | None:
    """The folder of a model folder's adapters, or None. Raises MontessoriError for pickled ones."""
    adapters = Path(folder) / FOLDER
    if not adapters.is_dir():
        return None
    if not (adapters / WEIGHTS).is_file():
        raise MontessoriError(
            "the adapters have no safetensors",
            where=str(adapters),
            expected=WEIGHTS,
            next="save them again: model.save_pretrained(folder)",
        )
    return adapters


def load_student(folder: Path, dtype: "torch.dtype | None" = None) -> "PreTrainedModel":
    """The model of a folder, with its adapters, if it has any, ready to be trained.

    Its parameters are fp32 unless `dtype` says otherwise; rotary frequencies are fp32 always.
    """
    model = load_model(folder, dtype)
    adapters = find_adapters(folder)
    if adapters is None:
        return model
    # peft keeps the adapters of a model in 16 bits in fp32 unless it is told not to.
    return _attach_adapters(model, adapters, is_trainable=True, autocast_adapter_dtype=False)


def load_merged(
    folder: Path, dtype: "torch.dtype | None" = None, attention: str | None = None
) -> "PreTrainedModel":
    """`load_model`, with the folder's adapters, if it has any, added to the weights."""
    model = load_model(folder, dtype, attention)
    adapters = find_adapters(folder)
    if adapters is None:
        return model
    return merge_adapters(_attach_adapters(model, adapters))


def _attach_adapters(model: "PreTrainedModel", adapters: Path, **options: bool) -> Any:
    """The model with adapters in place. Raises MontessoriError for those of another model.

    peft leaves an adapter that the file lacks as it begins, which changes nothing, and goes on.
    """
    from peft import PeftModel, get_peft_model_state_dict

    found = read_header(adapters / WEIGHTS)
    try:
        whole = PeftModel.from_pretrained(model, adapters, **options)
    except (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _foreign_adapters(f"the adapters cannot be loaded: {reason}", adapters) from error
    absent = set(get_peft_model_state_dict(whole, save_embedding_layers=False)) - set(found)
    if absent:
        raise _foreign_adapters(f"adapters are missing: {list_names(sorted(absent))}", adapters)
    return whole


def _foreign_adapters(what: str, adapters: Path) -> MontessoriError:
    return MontessoriError(
        what,
        where=str(adapters),
        expected="LoRA adapters that were trained on the model they lie beside",
        next="copy the base model that adapter_config.json names beside them, or train them again",
    )
