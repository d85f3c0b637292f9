"""The .json files of models: of a server, and of the hub."""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from tools.campaign.case import ACCEPT, EITHER, REFUSE, Case, call_stage, nothing, put
from tools.campaign.cases.models import TEMPLATE
from tools.campaign.mutations import mutate_json

KIND = "hosted"
FILE = "mine.json"
PREPARE = call_stage("models", source=FILE, template=TEMPLATE, out="out")
SERVER: Mapping[str, Any] = {
    "server": "http://localhost:1/v1",
    "model": "gpt-4o-2024-08-06",
    "key_env": "MY_KEY",
    "usd_per_million": {"input": 1.0, "output": 2.0},
    "limit": "max_tokens",
    "omit": ["seed"],
}
HUB: Mapping[str, Any] = {"hub": "a/b", "revision": "0" * 40}
#: Addresses that are none, or that hold what must not be written down.
ADDRESSES: Mapping[str, Any] = {
    "null": None,
    "number": 5,
    "empty": "",
    "list": ["http://a"],
    "file": "file:///etc/passwd",
    "ftp": "ftp://a/b",
    "javascript": "javascript:alert(1)",
    "no scheme": "localhost:8000",
    "gopher": "gopher://127.0.0.1:6379/_x",
    "socket": "http+unix://x",
    "credentials": "http://user:sk-SECRET@host/v1",
    "key in the query": "https://host/v1?api_key=sk-SECRET",
    "key in the fragment": "https://host/v1#sk-SECRET",
    "port 0": "http://host:0/v1",
    "port 99999": "http://host:99999/v1",
    "port a text": "http://host:abc/v1",
    "line end": "http://host/v1\r\nX-Evil: 1",
    "tab": "http://host/\tv1",
    "blank in the host": "http://ho st/v1",
    "blank in the path": "http://host/v 1",
    "blank at the end": "http://host/v1 ",
    "NUL": "http://host/\0",
    "open bracket": "http://[::1/v1",
    "only a scheme": "http://",
    "backslash": "http://host\\@evil/v1",
    "10,000 letters": "http://" + "a" * 10_000 + "/v1",
    "half a character": "http://\ud800/v1",
    "dots": "http://../v1",
}
VALUES: Mapping[str, tuple[Any, ...]] = {
    "model": ("", None, 5, "  ", "a\nb", "a\0b", "\ud800"),
    "key_env": ("sk-SECRET-abcdefghijk", "my_key", 5, None, "A B"),
    "usd_per_million": (
        *({"input": value} for value in (-1, "2.5", None, 1e400, 10**400)),
        *({"in": 1}, 5, None, [1]),
    ),
    "limit": ("tokens", 5, None),
    "omit": ("seed", ["nothing"], [5], ["seed", "seed"], None),
    "api_key": ("sk-SECRET",),
    "temperature": (1,),
    "hub": ("a/b",),
}
HUB_VALUES: Mapping[str, tuple[Any, ...]] = {
    "revision": ("main", None, "0" * 39, 5),
    "hub": (5, "../../etc", "", "a/b/c", "a b/c", None),
    "chat_template": ("/etc/hostname", "nowhere.jinja", 5, "../x.jinja"),
    "trust_remote_code": (True,),
}
NO_MODELS = {
    "not JSON": "{",
    "empty": "",
    "list": "[]",
    "text": '"server"',
    "number": "5",
    "null": "null",
    "empty object": "{}",
    "depth": "[" * 100_000,
}


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each wrong value, and random faults."""
    yield _make_case("right", json.dumps(SERVER), want=ACCEPT)
    for name, text in NO_MODELS.items():
        yield _make_case(name, text)
    for name, address in ADDRESSES.items():
        yield _make_case(f"server: {name}", json.dumps({**SERVER, "server": address}), "server")
    for base, values in ((SERVER, VALUES), (HUB, HUB_VALUES)):
        kind = "server" if base is SERVER else "hub"
        for key, entries in values.items():
            for entry in entries:
                text = json.dumps({**base, key: entry})
                yield _make_case(f"{kind}: {key} {str(entry)[:30]!r}", text, f"{key}|{FILE}|a/b")
    yield _make_case("hub: offline", json.dumps(HUB), "a/b")
    for base in (SERVER, HUB):
        for name, text in mutate_json(dict(base), rng, 20):
            yield _make_case(f"{name}, of {next(iter(base))}", text, want=EITHER)
    for name, path in {
        "no .json": "m.txt",
        "missing": "nowhere",
        "missing .json": "no.json",
    }.items():
        call = call_stage("models", source=path, template=TEMPLATE, out="out")
        write = put(path, "x") if name == "no .json" else nothing
        yield Case(KIND, f"path: {name}", write, (call,), path, outputs=("out",))


def _make_case(name: str, text: str, where: str = FILE, want: str = REFUSE) -> Case:
    return Case(KIND, name, put(FILE, text), (PREPARE,), where, want, outputs=("out",))
