"""The chat template of a model that is prepared: found, settled and tried."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.templates import read_template_text
from montessori.errors import MontessoriError
from montessori.models.changed_template import change_template
from montessori.models.folder_files import read_optional_object
from montessori.models.settled_template import CLOCK, TODAY, Option, read_names, settle_template
from montessori.models.template_check import TriedTokens, check_template
from montessori.models.tokenizer_facts import added_tokens, opening_token, text_encoder

LOG = logging.getLogger(__name__)
TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class FoundTemplate:
    """A chat template's text, the file it comes from, and whether that is the fallback.

    `settings` is the content of tokenizer_config.json.
    """

    text: str
    origin: str
    settings: Mapping[str, Any]
    fallback: bool = False


def find_template(
    folder: Path, settings: Mapping[str, Any], named: Path | None, fallback: Path
) -> FoundTemplate:
    """The file `named`, else the model's own, else `fallback`.

    `settings` is the content of tokenizer_config.json. Raises MontessoriError for a missing file.
    """
    if named is not None:
        return FoundTemplate(_read_template(named), str(named), settings)
    if (folder / TEMPLATE).is_file():
        return FoundTemplate(_read_template(folder / TEMPLATE), str(folder / TEMPLATE), settings)
    own = settings.get("chat_template")
    if own is None:
        own = read_optional_object(folder / "chat_template.json").get("chat_template")
    if isinstance(own, list):  # several, by name
        own = _choose_default(own, folder)
    if isinstance(own, str):
        return FoundTemplate(own, str(folder / "tokenizer_config.json"), settings)
    return FoundTemplate(_read_template(fallback), str(fallback), settings, fallback=True)


def _choose_default(named: list[Any], folder: Path) -> Any:
    """The template called "default", if there is one. Raises MontessoriError without names."""
    try:
        return {entry["name"]: entry["template"] for entry in named}.get("default")
    except (KeyError, TypeError) as error:
        raise MontessoriError(
            "the chat templates have no names",
            where=str(folder / "tokenizer_config.json"),
            expected='chat_template: a text, or a list of {"name": "default", "template": text}',
            next="correct chat_template, or put a chat_template.jinja beside the file",
        ) from error


def settle_found(
    found: FoundTemplate,
    folder: Path,
    options: Mapping[str, Option],
    special_tokens: Mapping[str, str],
    endings: Collection[str],
) -> tuple[str, dict[str, Any]]:
    """The text of a template with its settings, and what the manifest says of it.

    `endings` are the tokens that the model is said to stop at. A fallback template begins with the
    token that the tokenizer puts before a text. Warns of what cannot be done with the template;
    raises MontessoriError when it cannot be used.
    """
    names = read_names(found.text)
    facts: dict[str, Any] = {"template": "fallback" if found.fallback else "own"}
    if given := {name: value for name, value in options.items() if name in names}:
        facts["template_options"] = given
    if CLOCK in names:
        facts["template_date"] = TODAY.date().isoformat()
    begin = ""
    if found.fallback and "bos_token" not in names:
        begin = opening_token(folder, found.settings, special_tokens.get("bos_token"))
    template = settle_template(found.text, options, begin)
    tried = TriedTokens(special_tokens, endings, added_tokens(folder), text_encoder(folder))
    template, change = change_template(template, tried)
    limits = check_template(template, tried, found.origin)
    if change:
        facts["template_change"] = change
        LOG.warning("%s: changed, so that it can be trained with: %s", found.origin, change)
    for limit in limits:
        LOG.warning("%s: %s", found.origin, limit)
    return template, facts


def _read_template(path: Path) -> str:
    if not path.is_file():
        raise MontessoriError(
            "the chat template file does not exist",
            where=str(path),
            expected="a jinja file",
            next="set model.fallback_template in params.yaml to an existing file",
        )
    return read_template_text(path, "model.fallback_template")
