"""Which engine runs a teacher, and what an artifact says of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from montessori.generate.engine import Engine
from montessori.generate.settings import GenerationParams
from montessori.models.hosted import read_hosted

if TYPE_CHECKING:
    from montessori.generate.kept import EngineWithLedger
    from montessori.generate.openai_engine import Secret
    from montessori.pipeline.machine import Machine


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


def open_with_ledger(
    folder: Path, generation: GenerationParams, machine: "Machine", secret: "Secret", ledger: Path
) -> "EngineWithLedger":
    """`open_engine`, but what it writes is kept in `ledger`, whatever engine it is."""
    from montessori.artifacts.files import folder_digest
    from montessori.generate.kept import RecordedEngine
    from montessori.generate.ledger import Ledger
    from montessori.generate.openai_engine import OpenAIEngine

    engine = open_engine(folder, generation, machine, secret, ledger)
    if isinstance(engine, OpenAIEngine):
        return engine
    facts = teacher_facts(folder, generation)
    identity = f"{facts.get('engine', generation.engine)} {folder_digest(folder)}"
    return RecordedEngine(engine, Ledger(ledger), identity)


def teacher_facts(folder: Path, generation: GenerationParams) -> dict[str, Any]:
    """What a manifest says of the teacher: template, tokenizer, and the engine if it is another."""
    from montessori.models.lineage import model_hashes

    hosted = read_hosted(folder)
    if hosted is not None:
        return {"server": hosted.server, "model": hosted.model}
    facts: dict[str, Any] = model_hashes(folder)
    if generation.engine == "vllm":
        from montessori.generate.vllm_engine import vllm_version

        facts["engine"] = f"vllm {vllm_version()}"
    elif generation.engine != "transformers":
        facts["engine"] = generation.engine
    return facts
