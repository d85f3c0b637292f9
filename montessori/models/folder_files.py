"""The JSON files of a model folder, read by their shape: a broken one is an error with its name."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.artifacts.files import read_json
from montessori.errors import MontessoriError

TOKENIZER = "tokenizer.json"
_AGAIN = "copy the whole model folder again"


def read_object(path: Path, what: str, where: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises MontessoriError where it is missing or another value."""
    if not path.is_file():
        raise MontessoriError(
            f"{what} is missing",
            where=str(where),
            expected=path.name,
            next="copy the whole model folder",
        )
    value = read_json(path)
    if not isinstance(value, dict):
        raise MontessoriError(
            f"{what} is not a JSON object: {json.dumps(value)[:60]}",
            where=str(path),
            expected="a JSON object",
            next="copy the whole model folder",
        )
    return value


def read_optional_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, {} where there is none. Raises MontessoriError otherwise."""
    return read_object(path, path.name, path.parent) if path.is_file() else {}


def read_tokenizer(path: Path) -> dict[str, Any]:
    """The content of a tokenizer.json, whose tokens have texts and ids.

    Raises MontessoriError for a file of another shape.
    """
    content = read_object(path, path.name, path.parent)
    problem = _find_problem(content)
    if problem:
        raise not_a_tokenizer(problem, path)
    return content


def not_a_tokenizer(problem: str, path: Path) -> MontessoriError:
    """The error of a tokenizer's file that is none."""
    return MontessoriError(
        f"{path.name} is not a tokenizer: {problem}",
        where=str(path),
        expected="the file that tokenizer.save_pretrained(folder) writes",
        next=_AGAIN,
    )


def _find_problem(content: Mapping[str, Any]) -> str:
    """What a tokenizer lacks; "" if it has all that is read here."""
    model = content.get("model")
    if not isinstance(model, Mapping):
        return "it has no model"
    pieces = model.get("vocab")
    if isinstance(pieces, Mapping):
        if not all(type(number) is int for number in pieces.values()):
            return "a token of its vocabulary has no whole number as id"
    elif not (isinstance(pieces, list) and all(map(_is_scored, pieces))):
        return "its vocabulary is neither ids by token nor pairs of a piece and its score"
    added = content.get("added_tokens") or []
    if not (isinstance(added, list) and all(map(_is_added, added))):
        return "an added token has no content, or no whole number as id"
    return ""


def _is_scored(piece: Any) -> bool:
    return isinstance(piece, Sequence) and len(piece) == 2 and isinstance(piece[0], str)


def _is_added(token: Any) -> bool:
    known = isinstance(token, Mapping) and isinstance(token.get("content"), str)
    return known and type(token.get("id")) is int
