"""Questions on a model's files: the stage `models`, the weights, the tokenizer, the facts."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from montessori.artifacts.files import MANIFEST, read_json
from montessori.graph.load import apply_row_changes, require_section
from montessori.models.hosted import read_hosted
from montessori.models.prepare import ModelParams, prepare_model
from montessori.trial.candidate import Candidate
from montessori.trial.cost import count_parameters
from montessori.trial.findings import Finding

SHORT = 512  # tokens of a context below which prompts with examples do not fit


def ask_folder(candidate: Candidate) -> list[Finding]:
    """The checks of the stage `models`, which also writes the folder that is tried."""
    settings = candidate.settings
    params = require_section(_with_own_changes(candidate), "model", ModelParams, settings.file)
    fallback = settings.path(params.fallback_template)
    prepare_model(candidate.source, fallback, candidate.folder, params.template_options)
    hosted = read_hosted(candidate.folder)
    if hosted is not None:
        text = f"{hosted.model} at {hosted.server}: only what a server can be asked is tried"
        return [Finding("folder", "ok", text)]
    facts = read_json(candidate.folder / MANIFEST)["facts"]
    return [Finding("folder", "ok", _describe(candidate.folder, facts)), *_template_origin(facts)]


def _with_own_changes(candidate: Candidate) -> Mapping[str, Any]:
    """The settings, with the options of the row of `models` that names this very model, if any."""
    raw, root = candidate.settings.raw, candidate.settings.root
    rows = raw.get("models")
    for name, row in rows.items() if isinstance(rows, Mapping) else ():
        path = row.get("path") if isinstance(row, Mapping) else None
        if path and (root / str(path)).resolve() == candidate.source.resolve():
            return apply_row_changes(raw, "model", "models", str(name))
    return raw


def _describe(folder: Path, facts: dict[str, object]) -> str:
    config = read_json(folder / "config.json")
    dtype = config.get("dtype") or config.get("torch_dtype") or "float32"
    return (
        f"{facts.get('model_type')}, {count_parameters(folder) / 1e6:,.1f}M parameters, {dtype}, "
        f"vocabulary {facts.get('vocabulary')}, end token {facts.get('eos_token')}"
    )


def _template_origin(facts: dict[str, object]) -> list[Finding]:
    if "template_change" in facts:
        return [
            Finding(
                "folder",
                "note",
                f"the chat template is changed so that it can be trained with: "
                f"{facts['template_change']}",
                "if the model should be asked otherwise, put a chat_template.jinja into the folder",
            )
        ]
    if facts.get("template") != "fallback":
        return []
    return [
        Finding(
            "folder",
            "note",
            "the model has no chat template: it is a base model, and gets model.fallback_template",
            "if it is a chat model, put its chat_template.jinja into the folder",
        )
    ]


def ask_weights(candidate: Candidate) -> list[Finding]:
    """Whether every weight is a finite number, file by file without the model."""
    from safetensors import safe_open

    broken, dtypes = [], Counter[str]()
    for path in sorted(candidate.folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                tensor = file.get_tensor(name)
                dtypes[str(tensor.dtype).removeprefix("torch.")] += 1
                if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
                    broken.append(f"{path.name}, {name}")
    if broken:
        return [
            Finding(
                "weights",
                "problem",
                f"{len(broken)} of {dtypes.total()} tensors hold NaN or infinity",
                "download the model again; if it was trained, take a checkpoint before the loss "
                "broke",
                tuple(broken[:3]),
            )
        ]
    kinds = ", ".join(f"{count} tensors of {dtype}" for dtype, count in sorted(dtypes.items()))
    return [Finding("weights", "ok", f"{kinds}, all finite")]


def ask_context(candidate: Candidate) -> list[Finding]:
    """Whether prompts with examples and rows of the settings' lengths fit into the context."""
    from montessori.generate.engine import UNBOUNDED
    from montessori.generate.local import folder_facts

    context = folder_facts(candidate.folder)[1]
    if context == UNBOUNDED:
        return [Finding("context", "note", "config.json names no context length: none is checked")]
    longest = {key: _length(candidate, key) for key in _lengths_of(candidate)}
    beyond = [f"{key}.max_length {tokens}" for key, tokens in longest.items() if tokens > context]
    if beyond:
        return [
            Finding(
                "context",
                "problem",
                f"{context} tokens, fewer than {', '.join(beyond)}",
                "lower these keys in params.yaml, or take a model with a longer context",
            )
        ]
    if context < SHORT:
        text = f"{context} tokens: few for a prompt with examples and what follows"
        return [Finding("context", "note", text, "lower instruction.seed_examples")]
    return [Finding("context", "ok", f"{context:,} tokens")]


def _lengths_of(candidate: Candidate) -> list[str]:
    keys = {"teacher": ["teacher_dpo"], "student": ["warmup", "influence", "student_sft"]}
    return [key for role in candidate.roles for key in keys.get(role, [])]


def _length(candidate: Candidate, key: str) -> int:
    section = candidate.settings.raw.get(key, {})
    return int(section.get("max_length", 0))
