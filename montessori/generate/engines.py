"""Which engine runs a teacher, and what an artifact says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.generate.engine import Engine
from montessori.generate.hosted import read_hosted
from montessori.generate.settings import GenerationParams

if TYPE_CHECKING:
    from montessori.generate.openai_engine import Secret
    from montessori.stage import Machine


def open_engine(
    folder: Path, generation: GenerationParams, machine: "Machine", secret: "Secret", ledger: Path
) -> Engine:
    """The engine for the teacher in `folder` on this machine.

    `secret` gives the value of an environment variable that holds a key, `ledger` is the file
    for a server's answers. Raises MontessoriError when the folder holds no usable model, a library
    is missing, or a server cannot be used.
    """
    hosted = read_hosted(folder)
    if hosted is not None or generation.engine == "openai":
        from montessori.generate.openai_engine import open_hosted, open_served

        if hosted is not None:
            return open_hosted(hosted, machine, ledger, secret)
        return open_served(folder, machine, ledger, secret)
    if generation.engine == "vllm":
        from montessori.generate.vllm_engine import VllmEngine

        return VllmEngine.open(folder, machine)
    from montessori.generate.transformers_engine import TransformersEngine

    return TransformersEngine.open(folder, machine)


def teacher_facts(folder: Path, generation: GenerationParams) -> dict[str, Any]:
    """What a manifest says of the teacher: template, tokenizer, and the engine if it is another."""
    from montessori.lineage import hashes_of

    hosted = read_hosted(folder)
    if hosted is not None:
        return {"server": hosted.server, "model": hosted.model}
    facts: dict[str, Any] = hashes_of(folder)
    if generation.engine == "vllm":
        from montessori.generate.vllm_engine import version

        facts["engine"] = f"vllm {version()}"
    elif generation.engine != "transformers":
        facts["engine"] = generation.engine
    return facts
