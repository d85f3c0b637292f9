"""Addresses of servers, names of models and of variables that hold keys; no error repeats a key."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # in lower case it might be a key
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f\\\ud800-\udfff]")  # urlsplit drops or takes them
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class ServerAddress:
    """A limit of settings: the address of a server, without credentials."""

    def find_problem(self, value: str) -> str | None:
        """What is wrong, without the address itself: it may hold credentials."""
        if _UNPRINTABLE.search(value):
            return "holds a blank, a backslash or a character that no address has"
        try:
            parts = urlsplit(value)
            right = parts.scheme in ("http", "https") and parts.port != 0
            right = right and _is_host(parts.hostname or "")
        except ValueError:
            right = False
        if not right:
            return "is not an address such as http://localhost:8000/v1"
        if "@" in parts.netloc or parts.query or parts.fragment:
            return "holds credentials or a query; name an environment variable for the key"
        return None

    def __str__(self) -> str:
        return "an address"


def _is_host(name: str) -> bool:
    """Whether the parts of a host's name have the lengths that the domain name system allows."""
    parts = name.removesuffix(".").split(".")
    return ":" in name or (len(name) <= 254 and all(0 < len(part) < 64 for part in parts))


@dataclass(frozen=True)
class VariableName:
    """A limit of settings: the name of an environment variable, in capitals."""

    def find_problem(self, value: str) -> str | None:
        """What is wrong, without the name itself: it may be the key."""
        if _VARIABLE.fullmatch(value):
            return None
        return (
            "is not the name of an environment variable in capitals (the key itself "
            "belongs into that variable alone)"
        )

    def __str__(self) -> str:
        return "a variable's name"


@dataclass(frozen=True)
class ModelName:
    """A limit of settings: a server's name for a model, which stands in requests and tables."""

    def find_problem(self, value: str) -> str | None:
        """That it is blank, or has signs that a table or a terminal would obey."""
        if not value.strip():
            return f"{value!r} is blank"
        if value != value.strip() or not value.isprintable():
            return f"{value!r} has line ends, control characters or blanks around it"
        return None

    def __str__(self) -> str:
        return "a model's name"


def base_url(url: str) -> str:
    """The address with /v1 where it has no path."""
    return url.rstrip("/") + ("/v1" if urlsplit(url).path in ("", "/") else "")


def is_loopback(url: str) -> bool:
    """Whether a server runs on this machine, where no proxy should be in between."""
    return urlsplit(url).hostname in _LOOPBACK
