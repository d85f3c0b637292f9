"""Where a base model comes from: a folder, a GGUF file, or a .json that names one of three kinds.

The kinds are a model of the hub at a commit, a GGUF file (models/gguf_source.py), and a model that
only a server has (models/hosted.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError
from montessori.graph.limits import Commit
from montessori.graph.load import join_problems, read_section
from montessori.models.gguf_source import GgufModel, convert_gguf, find_gguf
from montessori.models.hub_id import HUB_ID, HubId, hub_model_hint

#: Files of a hub model that are fetched: no pickles, no code, no second copy of the weights.
FETCHED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
IGNORED = ("consolidated*", "original/*")


@dataclass(frozen=True)
class HubModel:
    """A model of the hub at a pinned revision, as a .json file.

    `chat_template` is a jinja file beside the .json, used instead of the model's own.
    """

    hub: Annotated[str, HubId()]
    revision: Annotated[str, Commit()]
    chat_template: str | None = None


@contextmanager
def open_source(source: Path) -> Iterator[tuple[Path, Path | None]]:
    """The folder with the model's files, and the template file that its .json names.

    Raises MontessoriError if there is no such model, or if its .json is wrong.
    """
    if source.is_dir():
        yield source, None
        return
    if source.suffix not in (".json", ".gguf"):
        is_id = HUB_ID.fullmatch(str(source)) and not source.exists()
        raise MontessoriError(
            f"no such model: {source}",
            where=str(source),
            expected='a model folder, a .gguf file, or a .json file with {"hub": id, "revision": '
            'commit}, {"gguf": file, "sha256": digest} or {"server": address, "model": name}',
            next=hub_model_hint(str(source)) if is_id else "set models.<role>.path in params.yaml",
        )
    with TemporaryDirectory(prefix="montessori-") as spare:
        if source.suffix == ".gguf":
            yield convert_gguf(source, Path(spare)), None
            return
        described = read_json(source)
        if isinstance(described, dict) and "gguf" in described:
            wanted = _parse(described, source, GgufModel)
            folder = convert_gguf(find_gguf(wanted, source, Path(spare)), Path(spare))
            template = wanted.chat_template
        else:
            model = _parse(described, source, HubModel)
            folder, template = _download_model(model, source), model.chat_template
        yield folder, source.parent / template if template else None


def _parse(described: Any, source: Path, kind: type[Any]) -> Any:
    model, problems = read_section({"model": described}, "model", kind)
    if model is None:
        raise join_problems([text.removeprefix("model.") for text in problems], str(source))
    return model


def _download_model(model: HubModel, source: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                model.hub,
                revision=model.revision,
                allow_patterns=list(FETCHED),
                ignore_patterns=list(IGNORED),
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise MontessoriError(
            f"{model.hub} cannot be fetched: {reason}",
            where=str(source),
            expected="a hub id and revision that exist, a network, and HF_TOKEN set for gated "
            "models",
            next="try again with a network, or name a local model folder in params.yaml",
        ) from error
