"""What the stage `models` must know of a tokenizer to try a chat template."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from montessori.models.folder_files import not_a_tokenizer, read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE = "tokenizer.json"


def added_tokens(folder: Path) -> frozenset[str]:
    """Texts that a tokenizer takes for one token wherever they stand; none without its file."""
    path = folder / _FILE
    listed = (read_tokenizer(path).get("added_tokens") or []) if path.is_file() else []
    return frozenset(token["content"] for token in listed)


def text_encoder(folder: Path) -> Callable[[str], Sequence[int]] | None:
    """The token ids of a text, with nothing put before it; None without a file that can be read.

    By the library `tokenizers`, which is there in milliseconds where transformers takes seconds.
    Raises MontessoriError for a file that the library once wrote, by its key `version`, and cannot
    read.
    """
    tokenizer = _open_fast(folder)
    if tokenizer is None:
        if (folder / _FILE).is_file() and "version" in read_tokenizer(folder / _FILE):
            raise not_a_tokenizer("the library tokenizers cannot read it", folder / _FILE)
        return None
    return lambda text: cast(Sequence[int], tokenizer.encode(text, add_special_tokens=False).ids)


def opening_token(folder: Path, settings: Mapping[str, Any], bos: str | None) -> str:
    """`bos` where the tokenizer puts this token before a text by itself; else "".

    A base model was trained with it, and lm-eval and in-context scores take it from the tokenizer;
    a fallback template has to write it. `settings` is the content of tokenizer_config.json, whose
    add_bos_token counts before tokenizer.json, as in transformers (5.19). A file that cannot be
    read opens nothing: what is wrong with it is said where it is used.
    """
    told = settings.get("add_bos_token")
    if bos is None or isinstance(told, bool):
        return bos if bos and told else ""
    tokenizer = _open_fast(folder)
    first = tokenizer.encode("a").ids[:1] if tokenizer is not None else []
    return bos if tokenizer is not None and first == [tokenizer.token_to_id(bos)] else ""


def _open_fast(folder: Path) -> "Tokenizer | None":
    from tokenizers import Tokenizer

    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        if type(error) is not Exception:  # the library raises nothing narrower
            raise
        return None
