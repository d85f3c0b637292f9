"""Section `reading` of params.yaml: how files of one's own are read."""

from dataclasses import dataclass, field
from typing import Literal

#: Our names of a row's fields, which a file may call otherwise.
Column = Literal[
    "instruction", "input", "response", "messages", "system", "history", "skill", "prompt", "raw"
]


@dataclass(frozen=True)
class ReadingParams:
    """Section `reading`: rows that cannot be read, names of columns, the key of a list."""

    malformed: Literal["error", "drop"] = "error"
    columns: dict[Column, str] = field(default_factory=dict)
    list: str = ""
