"""Which engine runs a teacher: the section `generation`."""

from dataclasses import dataclass
from typing import Literal, get_args

EngineName = Literal["transformers", "vllm", "openai"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


@dataclass(frozen=True)
class GenerationParams:
    """Section `generation`: what probe and synth write with.

    `openai` asks the server of machine.server. A teacher that only a server has (`hosted.py`) is
    asked there whatever the engine.
    """

    engine: EngineName
