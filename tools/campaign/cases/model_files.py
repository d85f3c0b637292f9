"""What cases of models do to the files of a model folder."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.campaign.case import copy_folder

SOURCE = "data/micro/llama"


def copy_model(root: Path) -> Path:
    """A copy of the lab's student, for a case to change."""
    copy_folder(SOURCE, "mine")(root)
    return root / "mine"


def remove(*names: str) -> Callable[[Path], object]:
    """What removes files of a model folder."""
    return lambda folder: [(folder / name).unlink() for name in names]


def write_in(name: str, content: str | bytes) -> Callable[[Path], object]:
    """What writes a file into a model folder."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return lambda folder: (folder / name).write_bytes(data)


def change_json(name: str, change: Callable[[Any], object]) -> Callable[[Path], object]:
    """What changes the value in a JSON file of a model folder, in place."""

    def write(folder: Path) -> None:
        value = json.loads((folder / name).read_bytes())
        change(value)
        (folder / name).write_text(json.dumps(value), encoding="utf-8")

    return write


def read_tensors(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and body of a safetensors file: 8 bytes of length, JSON, then the tensors."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def write_tensors(path: Path, header: dict[str, Any], body: bytes) -> None:
    """Write a safetensors file."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
