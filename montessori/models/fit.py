"""Whether weights fit the architecture that a model's config describes.

transformers draws at random what a checkpoint lacks, prints a table and goes on; here it is an
error. Before anything is copied its own loader runs on the headers alone (`check_fit`): on torch's
device "meta" tensors have shapes but no numbers, so that all its renaming, merging and tying of
weights is in the answer, for any architecture, within a second.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.errors import MontessoriError
from montessori.models.headers import PLAIN_FLOATS, Tensor, list_names
from montessori.models.load_settings import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

LOG = logging.getLogger(__name__)
_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool"}
#: Ends of names that GPTQ, AWQ, bitsandbytes, compressed-tensors and MXFP4 add.
_PACKED = (".qweight", ".scales", ".absmax", ".SCB", ".weight_packed", ".weight_scale", "_blocks")
_UNQUANTISED = "take the model in 16 or 32 bits: its authors, or others, mostly offer both"
#: Saves the text model of a model that reads images too as a folder of its own.
_TEXT_ALONE = (
    'python -c "from transformers import AutoModelForImageTextToText as V, AutoModelForCausalLM as '
    "M, AutoTokenizer as T; v = V.from_pretrained('{0}'); t = M.from_config("
    "v.config.get_text_config(), dtype=v.dtype); t.base_model.load_state_dict("
    "v.model.language_model.state_dict()); t.lm_head.load_state_dict(v.lm_head.state_dict()); "
    "t.save_pretrained('{0}-text'); T.from_pretrained('{0}').save_pretrained('{0}-text')\", "
    "then name {0}-text in params.yaml"
)


def check_fit(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise MontessoriError unless `tensors` are the weights that the config of `folder` wants.

    Tied weights may be absent, and what the architecture itself leaves out may be there.
    """
    import torch

    refuse_quantised(folder)
    _refuse_absurd(folder, tensors)
    model = _build_empty(folder)
    if model.config.get_text_config() is not model.config:
        LOG.warning(
            "%s: %s takes more than text; its other parts are loaded, but neither used nor trained "
            "(its text model alone: %s)",
            folder,
            type(model).__name__,
            _TEXT_ALONE.format(folder),
        )
    _refuse_packed(model, tensors, folder)
    stand_ins = {
        name: torch.empty(tensor.shape, dtype=_torch_format(tensor), device="meta")
        for name, tensor in tensors.items()
    }
    refuse_misfits(_try_loading(model, stand_ins, folder), folder)


def refuse_quantised(folder: Path) -> None:
    """Raise MontessoriError for a config of weights with fewer than 16 bits.

    Such weights cannot be trained, and influence has no gradient of them.
    """
    config = read_config(folder)
    for part in (config, config.get_text_config()):
        settings = getattr(part, "quantization_config", None)
        if settings:
            method = getattr(settings, "get", lambda *_: "unknown method")("quant_method")
            raise _misfit(f"the weights are quantised ({method})", folder, _UNQUANTISED)


def _refuse_absurd(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise MontessoriError for numbers that no architecture refuses, and that would not end."""
    config = read_config(folder).get_text_config()
    layers = getattr(config, "num_hidden_layers", None)
    positions = getattr(config, "max_position_embeddings", None)
    whole = "copy config.json and weights from one and the same model"
    if isinstance(layers, int) and layers > len(tensors):
        # Python refuses to write a whole number of thousands of digits.
        shown = layers if layers < 10**12 else "10**12 or more"
        told = f"config.json speaks of {shown} layers, the weights have {len(tensors)} tensors"
        raise _misfit(told, folder, whole)
    if isinstance(positions, int) and positions < 1:
        raise _misfit(f"max_position_embeddings of config.json is {positions}", folder, whole)


def _refuse_packed(model: "PreTrainedModel", tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Raise MontessoriError where integers or short floats stand for real numbers."""
    wanted = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    for name, tensor in tensors.items():
        short = tensor.format.startswith(("F8", "F6", "F4"))
        if short or (name in wanted and tensor.format not in PLAIN_FLOATS):
            raise _misfit(
                f"the weights are quantised: {name} is {tensor.format}", folder, _UNQUANTISED
            )


def _build_empty(folder: Path) -> "PreTrainedModel":
    import torch
    from transformers import AutoModelForCausalLM

    config = read_config(folder)
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception as error:  # an architecture's constructor may raise anything
        if config.get_text_config() is not config:
            raise _more_than_text(config, folder) from error
        raise _misfit(
            f"no causal language model can be built from the config: {_first_line(error)}",
            folder,
            "take a text model that transformers.AutoModelForCausalLM loads",
        ) from error


def _more_than_text(config: "PreTrainedConfig", folder: Path) -> MontessoriError:
    """The error for a model of images or sounds and text that transformers has no text class for.

    The text part may have a class of its own.
    """
    from transformers import AutoModelForCausalLM

    alone = type(config.get_text_config()) in AutoModelForCausalLM._model_mapping
    return _misfit(
        f"the model reads more than text ({type(config).__name__}): no causal language model",
        folder,
        f"take its text model alone: {_TEXT_ALONE.format(folder)}"
        if alone
        else "take a text model that transformers.AutoModelForCausalLM loads",
    )


def _try_loading(
    model: "PreTrainedModel", stand_ins: dict[str, Any], folder: Path
) -> Mapping[str, Any]:
    """What transformers' loader says of tensors without numbers."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        _, found = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=stand_ins,
            device_map={"": "meta"},
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except Exception as error:
        raise _misfit(
            f"the weights cannot be put into the architecture: {_first_line(error)}",
            folder,
            "copy the whole model folder, or take another model",
        ) from error
    finally:
        logging.set_verbosity(level)
    return found


def refuse_misfits(found: Mapping[str, Any], folder: Path) -> None:
    """Raise MontessoriError for the weights that did not fit when a model was loaded.

    `found` is what transformers returns with output_loading_info=True.
    """
    missing, unknown = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    prefix = _common_prefix(missing, unknown)
    if prefix:
        raise _misfit(
            f"the names of the weights begin with {prefix!r}: they were saved inside a wrapper",
            folder,
            f"save the model itself (after torch.compile: model._orig_mod.save_pretrained(folder)),"
            f" or rename the tensors without {prefix!r}",
        )
    if missing or unknown:
        raise _misfit(_describe_names(missing, unknown), folder, _advise(missing, unknown))
    other = [f"{name}: {tuple(has)}, not {tuple(wants)}" for name, has, wants in _shapes(found)]
    if other:
        raise _misfit(
            f"weights have other shapes than the config says ({list_names(other)})",
            folder,
            "copy config.json and weights from one and the same model",
        )
    if found.get("error_msgs"):
        raise _misfit(
            list_names([str(text) for text in found["error_msgs"]]), folder, _advise([], [])
        )


def refuse_not_finite(model: "PreTrainedModel", folder: Path) -> None:
    """Raise MontessoriError if a weight is NaN or infinite; one pass over the weights."""
    import torch

    for name, value in model.named_parameters():
        if not value.is_floating_point():
            continue
        wide = value.dtype if value.dtype == torch.float64 else torch.float32
        if not torch.isfinite(value.detach().sum(dtype=wide)):
            raise MontessoriError(
                f"the weight {name} holds NaN or infinite numbers",
                where=str(folder),
                expected="finite weights",
                next="copy the model again; after training of your own, train with a lower "
                "learning_rate",
            )


def _shapes(found: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return sorted((name, has, wants) for name, has, wants in found["mismatched_keys"])


def _common_prefix(missing: list[str], unknown: list[str]) -> str:
    """What stands before the wanted name in every unknown one, "" if that is nothing."""
    if not missing or not unknown:
        return ""
    ends = [name for name in missing if unknown[0].endswith("." + name)]
    prefix = unknown[0][: -len(max(ends, key=len))] if ends else ""
    # Tied weights may be absent, so not every missing name need be there.
    return prefix if set(unknown) <= {prefix + name for name in missing} else ""


def _describe_names(missing: list[str], unknown: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"weights are missing: {list_names(missing)}")
    if unknown:
        parts.append(f"weights that the architecture does not have: {list_names(unknown)}")
    return "; ".join(parts)


def _advise(missing: list[str], unknown: list[str]) -> str:
    if any(name.endswith(_PACKED) for name in unknown):
        return _UNQUANTISED
    if missing and all(name.startswith(("lm_head.", "embed_out.")) for name in missing):
        return (
            "copy the whole model; only if it has one matrix for input and output, set "
            "tie_word_embeddings to true in config.json"
        )
    return "copy config.json and all weights from one and the same model"


def _torch_format(tensor: Tensor) -> Any:
    import torch

    return getattr(torch, _NAMES.get(tensor.format, "int64"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _misfit(what: str, folder: Path, next: str) -> MontessoriError:
    return MontessoriError(
        what,
        where=str(folder),
        expected="the weights, in 16 or 32 bits, that config.json describes",
        next=next,
    )
