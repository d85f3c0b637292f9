"""Whether a tokenizer belongs to a model: ids that its embedding lacks, ends that it has not."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.errors import MontessoriError

LOG = logging.getLogger(__name__)
#: A tokenizer with fewer tokens than this share of the embedding is another model's. Embeddings are
#: filled up to a round size, which is a few per cent.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class ModelIds:
    """What a model says of token ids: rows of its embedding, and the ids that end its texts."""

    size: int
    ends: frozenset[int]


def check_tokens(
    tokenizer: Mapping[str, Any], used: Collection[str], model: ModelIds, folder: Path
) -> None:
    """Raise MontessoriError unless the model embeds every token that text can become.

    `tokenizer` is the content of tokenizer.json; `used` are the special tokens that stages put
    themselves (begin, end, padding). Another special token beyond the embedding gets a warning:
    nothing writes it (Gemma-3's place-holder for images in its models without images).
    """
    added = tokenizer.get("added_tokens") or []
    ids = read_pieces(tokenizer) | {token["content"]: token["id"] for token in added}
    spare = {token["content"] for token in added if token.get("special")} - set(used)
    beyond = {text for text, number in ids.items() if number >= model.size}
    if not beyond <= spare:
        needed = max(ids.values()) + 1
        raise _foreign(f"the tokenizer has {needed} tokens, the model embeds {model.size}", folder)
    if len(ids) < LEAST_SHARE * model.size:
        raise _foreign(
            f"the tokenizer has only {len(ids)} tokens, the model embeds {model.size}", folder
        )
    if model.ends and not model.ends & set(ids.values()):
        ends = ", ".join(map(str, sorted(model.ends)))
        raise _foreign(f"the model ends its texts with token {ends}, which is none here", folder)
    if beyond:
        LOG.warning("%s: special tokens without an embedding: %s", folder, sorted(beyond))


def read_pieces(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """The id of each token that is not an added one, from a tokenizer.json of any kind of model."""
    pieces = tokenizer.get("model", {}).get("vocab", {})
    if isinstance(pieces, Mapping):
        return dict(pieces)
    # of a unigram model: pairs of a piece and its score
    return {piece[0]: number for number, piece in enumerate(pieces)}


def _foreign(what: str, folder: Path) -> MontessoriError:
    return MontessoriError(
        what,
        where=str(folder),
        expected="a tokenizer that belongs to the model",
        next="use the model's own tokenizer (embeddings are never resized)",
    )
