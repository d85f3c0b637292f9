"""What `montessori doctor` finds, as its parts share it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "bad"]


@dataclass(frozen=True)
class Finding:
    """One result of the examination, and the command that fixes it."""

    subject: str
    level: Level
    text: str
    next: str = ""
