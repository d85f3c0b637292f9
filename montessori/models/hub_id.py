"""Ids of the hub where a path is expected: what is to be written instead."""

import re
from dataclasses import dataclass

#: `owner/name` of the hub, or `name` of its oldest models.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class HubId:
    """A limit of settings: the id of a model or of a data set of the hub."""

    def find_problem(self, value: str) -> str | None:
        """The text and the form."""
        return None if HUB_ID.fullmatch(value) else f"{value!r} is no id such as owner/name"

    def __str__(self) -> str:
        return "owner/name"


def hub_model_hint(name: str) -> str:
    """How a model of the hub is named: by a .json file, whose text this gives."""
    return (
        "a hub model is named by a .json file: write "
        f'{{"hub": "{name}", "revision": "40 hex digits of a commit"}} into {_file_name(name)} and '
        f"name that file (git ls-remote https://huggingface.co/{name} HEAD shows the commit)"
    )


def _file_name(name: str) -> str:
    return name.rpartition("/")[2].lower() + ".json"
