"""Headers of safetensors files: names, shapes and formats of weights, which are not read.

A file is 8 bytes for the header's length, the header in JSON, then the numbers
(https://huggingface.co/docs/safetensors). No torch is needed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
#: Bits of a number in each format of the safetensors library, and whether weights may have it.
_BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "BOOL": 8, "C64": 64},
    **{"I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8},
    **{"F8_E4M3": 8, "F8_E5M2": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8},
    **{"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4},
}
PLAIN_FLOATS = ("F64", "F32", "F16", "BF16")
_POINTER = b"version https://git-lfs"
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the library itself
_AGAIN = "copy or download the file again"


@dataclass(frozen=True)
class Tensor:
    """What a header says of one tensor: its format ("F32", "BF16", ...), shape and bytes."""

    format: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_headers(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the weight files that transformers would load from a model folder, by name.

    Raises MontessoriError for files that are cut, foreign or Git LFS pointers, and for an index
    that does not belong to its shards.
    """
    tensors: dict[str, Tensor] = {}
    for path, named in find_weight_files(folder).items():
        found = read_header(path)
        absent = sorted(set(named or ()) - set(found))
        if absent:
            raise MontessoriError(
                f"the index names tensors that are not in {path.name}: {list_names(absent)}",
                where=str(folder / INDEX),
                expected="the index that was saved with these shards",
                next="copy the whole model folder",
            )
        tensors |= found
    return tensors


def find_weight_files(folder: Path) -> dict[Path, set[str] | None]:
    """The weight files that transformers would load, each with the tensors its index names.

    It is model.safetensors, else the shards of its index; {} if the folder has neither.
    Raises MontessoriError if shards are missing.
    """
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        return {}
    named: dict[Path, set[str] | None] = {}
    for tensor, name in _read_weight_map(folder / INDEX).items():
        names = named.setdefault(folder / name, set())
        assert names is not None
        names.add(tensor)
    missing = sorted(path.name for path in named if not path.is_file())
    if missing:
        raise MontessoriError(
            f"weight files are missing: {', '.join(missing)}",
            where=str(folder),
            expected=f"all files that {INDEX} names",
            next="copy the whole model folder",
        )
    return dict(sorted(named.items()))


def _read_weight_map(path: Path) -> dict[str, str]:
    index = read_json(path)
    names = index.get("weight_map") if isinstance(index, Mapping) else None
    plain = isinstance(names, Mapping) and all(
        isinstance(value, str) and value == Path(value).name for value in names.values()
    )
    if not names or not plain:
        raise MontessoriError(
            "the index of the weights names no files",
            where=str(path),
            expected='{"weight_map": {tensor: file in the same folder}}',
            next="copy the whole model folder",
        )
    return dict(names)


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file, by name. Raises MontessoriError if it is none."""
    refuse_pointer(path)
    size = path.stat().st_size
    with open(path, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            raise _file_error("this is no safetensors file", path)
        if size < 8 + length:
            raise _cut_error(path, size, 8 + length)
        text = handle.read(length)
    try:
        tensors = _parse_header(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _file_error("this is no safetensors file: its header cannot be read", path) from error
    wanted = 8 + length + max((tensor.end for tensor in tensors.values()), default=0)
    if size < wanted:
        raise _cut_error(path, size, wanted)
    if size > wanted:
        raise _file_error(f"the file has {size:,} bytes, its header speaks of {wanted:,}", path)
    return tensors


def _parse_header(header: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a header. Raises ValueError, TypeError or KeyError for another content."""
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        tensor = Tensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), int(begin), int(end))
        bits = _BITS.get(tensor.format)
        if bits and (end - begin) * 8 != prod(tensor.shape) * bits:
            raise ValueError(f"{name} has {end - begin} bytes")
        tensors[name] = tensor
    return tensors


def refuse_pointer(path: Path) -> None:
    """Raise MontessoriError for a file that only points at a file of Git LFS."""
    with open(path, "rb") as handle:
        if handle.read(len(_POINTER)) != _POINTER:
            return
    raise MontessoriError(
        f"{path.name} is a Git LFS pointer, not the file itself",
        where=str(path),
        expected="the file that the pointer stands for",
        next=f"git lfs pull, in {path.parent}",
    )


def list_names(names: list[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest:,} more" if rest > 0 else "")


def _cut_error(path: Path, size: int, wanted: int) -> MontessoriError:
    return _file_error(f"the file is cut: it has {size:,} bytes of {wanted:,}", path)


def _file_error(what: str, path: Path) -> MontessoriError:
    return MontessoriError(what, where=str(path), expected="a whole safetensors file", next=_AGAIN)
