"""Stage `models`: base models in one layout of safetensors, tokenizer files and chat template.

Headers of the weights are read, the weights are not: no remote code, no pickles. Only LoRA adapters
are merged into the weights, which loads both, and GGUF files are unpacked.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from montessori.artifacts.files import new_folder, read_json, write_json
from montessori.errors import MontessoriError
from montessori.graph.limits import FilePath
from montessori.models.adapters import find_adapters, load_merged
from montessori.models.folder_files import read_object, read_optional_object, read_tokenizer
from montessori.models.headers import refuse_pointer
from montessori.models.hosted import FILE as HOSTED
from montessori.models.hosted import HostedModel, parse_hosted
from montessori.models.links import link_files, refuse_leaving_links
from montessori.models.prepare_template import TEMPLATE, find_template, settle_found
from montessori.models.settled_template import Option
from montessori.models.source import open_source
from montessori.models.vocabulary import ModelIds, check_tokens, read_pieces
from montessori.models.weight_check import check_weights
from montessori.models.weights import matching_files

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
#: Files of tokenizers by the names that transformers reads: any *.model, and these texts.
COPIED = (
    "vocab.txt",
    "merges.txt",
    "*.model",
    *TOKENIZERS,
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
#: All that is read of a model folder, with its adapters.
READ = ("*.json", "*.jinja", "*.safetensors", "adapter", "adapter/*", *COPIED)
PUT_BY_STAGES = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True)
class ModelParams:
    """Section `model`: the chat template of models that have none, and options of any template.

    `template_options` are names that chat templates read, such as enable_thinking, with their
    values; a template that does not read a name is left as it is.
    """

    fallback_template: FilePath
    template_options: dict[str, Option] = field(default_factory=dict)


def prepare_model(
    source: Path, fallback: Path, out: Path, options: Mapping[str, Option] = MappingProxyType({})
) -> None:
    """Write the model at `source`, which models/source.py describes, to `out` in one layout.

    The weights stay as they are, linked where the file system can; adapters in a folder `adapter`
    are added to them. The chat template is the .json's, else the model's own, else the file
    `fallback`. It is written to chat_template.jinja alone, with `options` and a fixed date set in
    it, and its SHA-256 to the manifest. A .json of a model that a server has (models/hosted.py)
    becomes a folder without weights.

    Raises MontessoriError for weights that are pickled, cut, quantised or not those of the config,
    a missing config, tokenizer or end-of-sequence token, a tokenizer that does not belong to the
    model, and an unusable template.
    """
    if source.suffix == ".json":
        described = read_json(source)
        if isinstance(described, Mapping) and "server" in described:
            _write_hosted(parse_hosted(described, str(source)), source, out)
            return
    with open_source(source) as (folder, named_template):
        refuse_leaving_links(folder, matching_files(folder, READ))
        _refuse_pointers(folder)
        config = read_object(folder / "config.json", "the model's config", source)
        settings = _name_end_token(folder, config, _read_tokenizer_config(folder))
        weights = check_weights(folder)
        eos, endings = _end_token(folder, settings), _further_end_tokens(folder, config)
        size = _check_vocabulary(folder, config, settings)
        found = find_template(folder, settings, named_template, fallback)
        stops = {eos, *endings}
        template, told = settle_found(
            found, folder, options, _special_tokens(folder, settings), stops
        )
        facts = {
            **told,
            "template_hash": hashlib.sha256(template.encode()).hexdigest(),
            "eos_token": eos,
            "model_type": config.get("model_type"),
            "vocabulary": size,
        }
        inputs = {"source": source}
        if found.fallback:
            inputs["template"] = fallback
        with new_folder(out, inputs, facts, libraries=()) as made:
            _copy_files(folder, made, config, settings)
            link_files(weights, made)
            _merge_adapters(folder, made, config)
            (made / TEMPLATE).write_text(template, encoding="utf-8")


def _write_hosted(model: HostedModel, source: Path, out: Path) -> None:
    """Write the folder of a model that only a server has."""
    facts = {"server": model.server, "model": model.model}
    with new_folder(out, {"source": source}, facts, libraries=()) as made:
        write_json(made / HOSTED, asdict(model))


# -------------------------------------------------------------------------------------- checks
def _read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """The content of tokenizer_config.json. Raises MontessoriError without a tokenizer."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise _model_error(
            "the model folder has no tokenizer",
            folder,
            f"one of {', '.join(TOKENIZERS)}",
            "save the tokenizer into the folder: tokenizer.save_pretrained(folder)",
        )
    return read_object(folder / "tokenizer_config.json", "the tokenizer's config", folder)


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token, ... as texts: from the config, else from special_tokens_map.json."""
    path = folder / "special_tokens_map.json"
    merged = {**read_optional_object(path), **settings}
    texts = {}
    for name, value in merged.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(text, str):
            texts[name] = text
    return texts


def _name_end_token(
    folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The tokenizer's settings; with the end token of the model's own id, where they name none.

    GPT-2's do not: the class of its tokenizer in transformers does.
    """
    named = "eos_token" in _special_tokens(folder, settings)
    ends: set[str] = set() if named else _further_end_tokens(folder, config)
    return {**settings, "eos_token": ends.pop()} if len(ends) == 1 else dict(settings)


def _end_token(folder: Path, settings: Mapping[str, Any]) -> str:
    eos = _special_tokens(folder, settings).get("eos_token")
    if eos is None:
        raise _model_error(
            "the tokenizer has no end-of-sequence token",
            folder,
            "eos_token in tokenizer_config.json",
            "set it to the token that ends the model's turn",
        )
    tokenizer = folder / "tokenizer.json"
    if tokenizer.is_file() and eos not in _read_vocabulary(tokenizer):
        raise _model_error(
            f"the end-of-sequence token {eos!r} is not in the vocabulary",
            folder,
            "eos_token of tokenizer_config.json among the tokens of tokenizer.json",
            "correct eos_token",
        )
    return eos


def _further_end_tokens(folder: Path, config: Mapping[str, Any]) -> set[str]:
    """Other tokens that end generation, by their ids."""
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        return set()
    ids = _end_ids(folder, config)
    return {token for token, number in _read_vocabulary(tokenizer).items() if number in ids}


def _end_ids(folder: Path, config: Mapping[str, Any]) -> frozenset[int]:
    """The ids that end generation: in generation_config.json, else in config.json."""
    generation = read_optional_object(folder / "generation_config.json")
    stops = generation.get("eos_token_id", config.get("eos_token_id"))
    ids = stops if isinstance(stops, list) else [] if stops is None else [stops]
    if not all(type(number) is int for number in ids):
        raise _model_error(
            f"eos_token_id is {str(stops)[:60]}",
            folder / "generation_config.json",
            "the id of a token, or a list of ids, there or in config.json",
            "copy the whole model folder",
        )
    return frozenset(ids)


def _check_vocabulary(
    folder: Path, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> int | None:
    """Size of the embedding. Raises MontessoriError if the tokenizer is another model's."""
    size = config.get("vocab_size", (config.get("text_config") or {}).get("vocab_size"))
    path = folder / "tokenizer.json"
    if path.is_file() and isinstance(size, int):
        tokens = _special_tokens(folder, settings)
        used = [tokens[name] for name in PUT_BY_STAGES if name in tokens]
        check_tokens(read_tokenizer(path), used, ModelIds(size, _end_ids(folder, config)), folder)
    return size


def _read_vocabulary(path: Path) -> dict[str, int]:
    """The id of each token, from a tokenizer.json with any kind of model."""
    raw = read_tokenizer(path)
    return {**read_pieces(raw), **{t["content"]: t["id"] for t in raw.get("added_tokens") or []}}


# ---------------------------------------------------------------------------------------- copy
def _copy_files(folder: Path, made: Path, config: dict[str, Any], settings: dict[str, Any]) -> None:
    """Copy weights and tokenizer; configs lose remote code and second copies of the template."""
    for path in matching_files(folder, COPIED):
        shutil.copyfile(path, made / path.name)
    write_json(made / "config.json", _drop_keys(config, "auto_map"))
    write_json(made / "tokenizer_config.json", _drop_keys(settings, "auto_map", "chat_template"))


def _merge_adapters(folder: Path, made: Path, config: Mapping[str, Any]) -> None:
    """Add LoRA adapters, if the folder has any, to the copied weights; the number format stays.

    So every later stage has the model with its adapters, whether it knows of adapters or not.
    """
    if find_adapters(folder) is None:
        return
    import torch

    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    model = load_merged(folder, getattr(torch, str(name)))
    for path in made.glob("*.safetensors*"):
        path.unlink()
    model.save_pretrained(made)
    write_json(made / "config.json", _drop_keys(config, "auto_map"))


def _refuse_pointers(folder: Path) -> None:
    """Raise MontessoriError if a small file that is needed is a pointer of Git LFS."""
    for path in matching_files(folder, ("*.json", *COPIED)):
        refuse_pointer(path)


def _drop_keys(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _model_error(what: str, where: Path, expected: str, next: str) -> MontessoriError:
    return MontessoriError(what, where=str(where), expected=expected, next=next)
