"""Addresses of servers and names of variables with keys: what is wrong with them, never the key."""

import re
from urllib.parse import urlsplit

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # in lower case it might be a key
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def url_problems(key: str, url: str) -> list[str]:
    """What is wrong with the address of a server; it is not repeated, lest it hold credentials."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        return [f"{key}: is not an address such as http://localhost:8000/v1"]
    if "@" in parts.netloc or parts.query or parts.fragment:
        return [f"{key}: holds credentials or a query; name an environment variable for the key"]
    return []


def variable_problems(key: str, name: str) -> list[str]:
    """What is wrong with the name of an environment variable; the name is not repeated."""
    if not name or _VARIABLE.fullmatch(name):
        return []
    return [
        f"{key}: is not the name of an environment variable in capitals (the key itself "
        "belongs into that variable alone)"
    ]


def base_url(url: str) -> str:
    """The address with /v1 where it has no path."""
    return url.rstrip("/") + ("/v1" if urlsplit(url).path in ("", "/") else "")


def is_loopback(url: str) -> bool:
    """Whether a server runs on this machine, so that no proxy is asked."""
    return urlsplit(url).hostname in _LOOPBACK
