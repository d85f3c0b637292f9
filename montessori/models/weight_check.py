"""Whether a folder has the whole weights of the model that its config describes.

Headers are read, never the weights: a cut download or a foreign layer is found in a second, not
after hours of probing.
"""

from pathlib import Path

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.models.adapters import FOLDER as ADAPTER
from montessori.models.fit import check_fit
from montessori.models.headers import INDEX, WEIGHTS, find_weight_files, read_headers
from montessori.models.plain_layouts import has_plain_layout
from montessori.models.weights import matching_files

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CONVERT = (
    'python -c "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; '
    "M.from_pretrained('{0}', weights_only=True).save_pretrained('{0}-safe'); "
    "T.from_pretrained('{0}').save_pretrained('{0}-safe')\", then name {0}-safe in params.yaml"
)


def check_weights(folder: Path) -> list[Path]:
    """The files of a model folder's weights, and the index of shards if there are shards.

    Raises MontessoriError unless they are safetensors, whole, and the tensors that config.json
    wants, in 16 or 32 bits; and for adapters that stand beside them.
    """
    _refuse_adapters_at_the_top(folder)
    files = list(find_weight_files(folder))
    if not files:
        raise _no_weights_error(folder)
    tensors = read_headers(folder)
    if not has_plain_layout(read_json(folder / "config.json"), tensors):
        check_fit(folder, tensors)
    return files if files == [folder / WEIGHTS] else [*files, folder / INDEX]


def _refuse_adapters_at_the_top(folder: Path) -> None:
    if not (folder / "adapter_config.json").is_file():
        return
    raise MontessoriError(
        "the folder holds LoRA adapters, which would be left out",
        where=str(folder),
        expected=f"a model folder whose adapters, if it has any, are in its folder {ADAPTER}",
        next=f"copy the base model's folder, put adapter_config.json and "
        f"adapter_model.safetensors into its subfolder {ADAPTER}, and name it in params.yaml",
    )


def _no_weights_error(folder: Path) -> MontessoriError:
    others = [path.name for path in folder.glob("*.safetensors")]
    if others:
        return MontessoriError(
            f"the weights are in {', '.join(sorted(others)[:3])}, which transformers does not read",
            where=str(folder),
            expected=f"{WEIGHTS}, or shards with {INDEX}",
            next=f"copy the whole model folder; a single file may be renamed to {WEIGHTS}",
        )
    pickled = [path.name for path in matching_files(folder, PICKLES)]
    if pickled:
        return MontessoriError(
            f"the weights are pickled ({', '.join(pickled)}), which can run any code",
            where=str(folder),
            expected=WEIGHTS,
            next=CONVERT.format(folder),
        )
    packed = sorted(path.name for path in folder.glob("*.gguf"))
    if packed:
        return MontessoriError(
            f"the weights are a GGUF file ({', '.join(packed[:3])})",
            where=str(folder),
            expected=WEIGHTS,
            next=f"name the file itself in params.yaml: {folder / packed[0]}",
        )
    return MontessoriError(
        "the model folder has no weights",
        where=str(folder),
        expected=WEIGHTS,
        next="dvc pull, or name another folder in params.yaml under models",
    )
