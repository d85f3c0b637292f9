"""The page of answers: one HTML file that needs nothing else and lets no text out of its place."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from typing import Any

REPORT = "../index.html"  # the page lies in report/outputs
#: Characters that could end a script element, open a comment in it or break its lines.
UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


def answers_page(data: Mapping[str, Any]) -> str:
    """The whole page on `data`: {"run", "against", "items"}, items as of `items.py`.

    The data are JSON in an element that is never run; the one script is allowed by its hash and
    sets texts as texts. Nothing may be loaded or sent.
    """
    style = (resources.files(__package__) / "page.css").read_text(encoding="utf-8")
    script = (resources.files(__package__) / "page.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src '{_policy_hash(script)}'; "
        f"style-src '{_policy_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    title = escape(f"{data['run']} beside {data['against']}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{style}</style></head>"
        f'<body><main><p class="head"><a href="{REPORT}">The comparison</a></p><h1>{title}</h1>'
        "<noscript><p>This page needs JavaScript to show the answers.</p></noscript>"
        '<div id="app"></div></main>'
        f'<script type="application/json" id="data">{embed_json(data)}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def embed_json(data: Mapping[str, Any]) -> str:
    """JSON that stays inside its script element whatever the texts hold."""
    # NaN is no JSON: the browser could not read the page's data.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(UNSAFE)


def _policy_hash(text: str) -> str:
    """A source of a Content-Security-Policy that allows just this text."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
