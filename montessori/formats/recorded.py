"""The format in which the texts of an artifact were written, in its manifest."""

from pathlib import Path
from typing import cast

from montessori.artifacts.files import MANIFEST, read_json
from montessori.formats.formats import FormatName

#: The fact of a manifest; without it texts are in tags.
KEY = "format"


def format_facts(name: FormatName) -> dict[str, str]:
    """What a manifest says of the format of an artifact's raw texts: nothing of tags."""
    return {} if name == "tags" else {KEY: name}


def read_format(artifact: Path) -> FormatName:
    """The format of an artifact's raw texts, from its manifest."""
    manifest = artifact / MANIFEST
    facts = read_json(manifest)["facts"] if manifest.is_file() else {}
    return cast(FormatName, facts.get(KEY, "tags"))
