"""Stage `models`: base models in one layout of safetensors, tokenizer files and chat template.

Files are copied, never loaded: no torch, no remote code, no pickles. Only LoRA adapters are merged
into the weights, which loads both.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Annotated, Any

from montessori.artifacts.files import new_folder, read_json, write_json
from montessori.errors import MontessoriError
from montessori.graph.limits import Commit, FilePath, FilledText
from montessori.graph.load import join_problems, read_section
from montessori.models.adapters import find_adapters, load_merged
from montessori.models.hosted import FILE as HOSTED
from montessori.models.hosted import HostedModel, parse_hosted
from montessori.models.prepare_template import TEMPLATE, find_template, settle_found
from montessori.models.settled_template import Option
from montessori.models.weights import matching_files

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
COPIED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.txt",
    "*.model",
    *TOKENIZERS,
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
)
CONVERT = (
    'python -c "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; '
    "M.from_pretrained('{0}', weights_only=True).save_pretrained('{0}-safe'); "
    "T.from_pretrained('{0}').save_pretrained('{0}-safe')\", then name {0}-safe in params.yaml"
)


@dataclass(frozen=True)
class ModelParams:
    """Section `model`: the chat template of models that have none, and options of any template.

    `template_options` are names that chat templates read, such as enable_thinking, with their
    values; a template that does not read a name is left as it is.
    """

    fallback_template: FilePath
    template_options: dict[str, Option] = field(default_factory=dict)


@dataclass(frozen=True)
class HubModel:
    """A model of the hub at a pinned revision, as a .json file.

    `chat_template` is a jinja file beside the .json, used instead of the model's own.
    """

    hub: FilledText
    revision: Annotated[str, Commit()]
    chat_template: str | None = None


def prepare_model(
    source: Path, fallback: Path, out: Path, options: Mapping[str, Option] = MappingProxyType({})
) -> None:
    """Write the model at `source`, a folder or a .json of HubModel, to `out` in one layout.

    The weights stay as they are; adapters in a folder `adapter` are added to them. The chat
    template is the .json's, else the model's own, else the file `fallback`. It is written to
    chat_template.jinja alone, with `options` and a fixed date set in it, and its SHA-256 to the
    manifest. A .json of a model that a server has (models/hosted.py) becomes a folder without
    weights.

    Raises MontessoriError for pickled or missing weights, a missing config, tokenizer or
    end-of-sequence token, a vocabulary smaller than the tokenizer, and an unusable template.
    """
    if source.suffix == ".json" and "server" in (described := read_json(source)):
        _write_hosted(parse_hosted(described, str(source)), source, out)
        return
    with _open_source(source) as (folder, named_template):
        config = _read_object(folder / "config.json", "the model's config", source)
        _check_weights(folder)
        settings = _read_tokenizer_config(folder)
        eos, endings = _end_token(folder, settings), _further_end_tokens(folder, config)
        size = _check_vocabulary(folder, config)
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
            _merge_adapters(folder, made, config)
            (made / TEMPLATE).write_text(template, encoding="utf-8")


def _write_hosted(model: HostedModel, source: Path, out: Path) -> None:
    """Write the folder of a model that only a server has."""
    facts = {"server": model.server, "model": model.model}
    with new_folder(out, {"source": source}, facts, libraries=()) as made:
        write_json(made / HOSTED, asdict(model))


# -------------------------------------------------------------------------------------- source
@contextmanager
def _open_source(source: Path) -> Iterator[tuple[Path, Path | None]]:
    """The folder with the model's files, and the template file that its .json names."""
    if source.is_dir():
        yield source, None
        return
    if source.suffix != ".json":
        raise _model_error(
            f"no such model: {source}",
            source,
            'a model folder, or a .json file with {"hub": id, "revision": commit} or '
            '{"server": address, "model": name}',
            "set models.<role>.path in params.yaml",
        )
    model, problems = read_section({"model": read_json(source)}, "model", HubModel)
    if model is None:
        raise join_problems([text.removeprefix("model.") for text in problems], str(source))
    template = source.parent / model.chat_template if model.chat_template else None
    with TemporaryDirectory(prefix="montessori-") as spare:
        yield _download_model(model, Path(spare), source), template


def _download_model(model: HubModel, spare: Path, source: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [*COPIED, "*.json", "*.jinja"]
    try:
        return Path(snapshot_download(model.hub, revision=model.revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _model_error(
            f"{model.hub} cannot be fetched: {reason}",
            source,
            "a hub id and revision that exist, a network, and HF_TOKEN set for gated models",
            "try again with a network, or name a local model folder in params.yaml",
        ) from error


# -------------------------------------------------------------------------------------- checks
def _check_weights(folder: Path) -> None:
    shards = {path.name for path in folder.glob("*.safetensors")}
    for index in folder.glob("*.safetensors.index.json"):
        missing = set(read_json(index).get("weight_map", {}).values()) - shards
        if missing:
            raise _model_error(
                f"weight files are missing: {', '.join(sorted(missing))}",
                folder,
                f"all files that {index.name} names",
                "copy the whole model folder",
            )
    if shards:
        return
    pickled = [path.name for path in matching_files(folder, PICKLES)]
    if pickled:
        raise _model_error(
            f"the weights are pickled ({', '.join(pickled)}), which can run any code",
            folder,
            "model.safetensors",
            CONVERT.format(folder),
        )
    raise _model_error(
        "the model folder has no weights",
        folder,
        "model.safetensors",
        "dvc pull, or name another folder in params.yaml under models",
    )


def _read_tokenizer_config(folder: Path) -> dict[str, Any]:
    """The content of tokenizer_config.json. Raises MontessoriError without a tokenizer."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise _model_error(
            "the model folder has no tokenizer",
            folder,
            f"one of {', '.join(TOKENIZERS)}",
            "save the tokenizer into the folder: tokenizer.save_pretrained(folder)",
        )
    return _read_object(folder / "tokenizer_config.json", "the tokenizer's config", folder)


def _special_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """bos_token, eos_token, ... as texts: from the config, else from special_tokens_map.json."""
    path = folder / "special_tokens_map.json"
    merged = {**(read_json(path) if path.is_file() else {}), **settings}
    texts = {}
    for name, value in merged.items():
        text = value.get("content") if isinstance(value, Mapping) else value
        if name.endswith("_token") and isinstance(text, str):
            texts[name] = text
    return texts


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
    """Other tokens that end generation: the ids in generation_config.json, else in config.json."""
    path, tokenizer = folder / "generation_config.json", folder / "tokenizer.json"
    if not tokenizer.is_file():
        return set()
    generation = read_json(path) if path.is_file() else {}
    stops = generation.get("eos_token_id", config.get("eos_token_id"))
    ids = set(stops) if isinstance(stops, list) else {stops}
    return {token for token, number in _read_vocabulary(tokenizer).items() if number in ids}


def _check_vocabulary(folder: Path, config: Mapping[str, Any]) -> int | None:
    """Size of the embedding. Raises MontessoriError if the tokenizer has ids beyond it."""
    size = config.get("vocab_size", config.get("text_config", {}).get("vocab_size"))
    tokenizer = folder / "tokenizer.json"
    if tokenizer.is_file() and isinstance(size, int):
        needed = max(_read_vocabulary(tokenizer).values(), default=-1) + 1
        if needed > size:
            raise _model_error(
                f"the tokenizer has {needed} tokens, the model embeds {size}",
                folder,
                "a tokenizer that belongs to the model",
                "use the model's own tokenizer (embeddings are never resized)",
            )
    return size


def _read_vocabulary(path: Path) -> dict[str, int]:
    """The id of each token, from a tokenizer.json with any kind of model."""
    raw = read_json(path)
    pieces = raw.get("model", {}).get("vocab", {})
    if isinstance(pieces, Mapping):
        vocabulary = dict(pieces)
    else:  # of a unigram model: pairs of a piece and its score
        vocabulary = {piece[0]: number for number, piece in enumerate(pieces)}
    for token in raw.get("added_tokens", []):
        vocabulary[token["content"]] = token["id"]
    return vocabulary


# ---------------------------------------------------------------------------------------- copy
def _copy_files(folder: Path, made: Path, config: dict[str, Any], settings: dict[str, Any]) -> None:
    """Copy weights and tokenizer; configs lose remote code and second copies of the template."""
    for path in matching_files(folder, COPIED):
        if path.name != "README.txt":  # COPIED has *.txt for vocabularies
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


def _drop_keys(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _read_object(path: Path, what: str, where: Path) -> dict[str, Any]:
    if not path.is_file():
        raise _model_error(f"{what} is missing", where, path.name, "copy the whole model folder")
    value = read_json(path)
    if not isinstance(value, dict):
        raise _model_error(
            f"{what} is not a JSON object: {json.dumps(value)[:60]}",
            path,
            "a JSON object",
            "copy the whole model folder",
        )
    return value


def _model_error(what: str, where: Path, expected: str, next: str) -> MontessoriError:
    return MontessoriError(what, where=str(where), expected=expected, next=next)
