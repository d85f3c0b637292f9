"""Whether a model has the template and tokenizer that the texts of an artifact were written with.

A line of models (base teacher, tuned teachers) keeps both. Training a model with another chat
template or tokenizer on these texts would silently change how they are rendered and tokenized.
"""

from pathlib import Path

from montessori.artifacts.files import MANIFEST, file_digest, read_json
from montessori.errors import MontessoriError
from montessori.models.chat import folder_template, text_hash

TOKENIZER = "tokenizer.json"
NAMES = {"template_hash": "chat template", "tokenizer_hash": "tokenizer"}


def model_hashes(model: Path) -> dict[str, str]:
    """The hashes of a model folder's template and, if it has tokenizer.json, of its tokenizer."""
    hashes = {"template_hash": text_hash(folder_template(model))}
    if (model / TOKENIZER).is_file():
        hashes["tokenizer_hash"] = file_digest(model / TOKENIZER)
    return hashes


def writer_hashes(artifact: Path) -> dict[str, str]:
    """The same hashes of an artifact's writer, from its manifest; empty if no model wrote it."""
    manifest = artifact / MANIFEST
    facts = read_json(manifest)["facts"] if manifest.is_file() else {}
    return {name: facts[name] for name in NAMES if name in facts}


def is_tuned(model: Path) -> bool:
    """Whether a model folder was trained here, on pairs or rows, and is no base model."""
    manifest = model / MANIFEST
    return manifest.is_file() and "start" in read_json(manifest)["inputs"]


def require_same_line(model: Path, artifact: Path) -> None:
    """Raise MontessoriError when another template or tokenizer wrote the artifact's texts."""
    own = model_hashes(model)
    for name, value in writer_hashes(artifact).items():
        if own.get(name, value) != value:
            raise MontessoriError(
                f"the start teacher has another {NAMES[name]} than the one that wrote the pairs",
                where=f"{model} ({own[name][:12]}) and {artifact} ({value[:12]})",
                expected="a start that wrote the probe or drafts of the pairs, or is of its line",
                next="fix `start` of this row in params.yaml, section rounds or alignments, or "
                "name a probe or drafts of its line",
            )
