"""Random faults in files that are right, by a seed: values of another type, lost and cut bytes."""

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

#: What may stand where something else is expected; the names are shown.
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "10**30": 10**30,
    "NaN": math.nan,
    "infinity": math.inf,
    "an empty text": "",
    "a blank": " ",
    "a text": "no-such-thing",
    "half a character": "\ud83d",
    "NUL": "a\0b",
    "a line end": "a\nb",
    "a path": "../../etc/passwd",
    "a long text": "x" * 100_000,
    "an empty list": [],
    "a list": [1, "a", None],
    "an empty mapping": {},
    "a mapping": {"a": 1},
    "depth": json.loads("[" * 200 + "]" * 200),
}


def mutate_json(value: Any, rng: random.Random, count: int) -> Iterator[tuple[str, str]]:
    """Names and texts of `count` changed copies: a value replaced, or a key or entry lost."""
    places = list(find_places(value))
    for number in range(count):
        place = rng.choice(places)
        changed = copy.deepcopy(value)
        node = changed
        for key in place[:-1]:
            node = node[key]
        if rng.random() < 0.15:
            del node[place[-1]]
            word = "lost"
        else:
            word, node[place[-1]] = rng.choice(list(VALUES.items()))
        path = ".".join(map(str, place))
        yield f"{number}: {path} {word}", json.dumps(changed)


def find_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in JSON data; of long lists and mappings, the first dozen."""
    if isinstance(value, dict):
        entries = list(value.items())[:12]
    elif isinstance(value, list):
        entries = list(enumerate(value))[:12]
    else:
        return
    for key, entry in entries:
        yield (*path, key)
        yield from find_places(entry, (*path, key))


def mutate_bytes(data: bytes, rng: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of `count` copies that are cut, or have bytes changed, lost or added."""
    for number in range(count):
        at = rng.randrange(len(data))
        size = rng.randrange(1, 64)
        junk = bytes(rng.randrange(256) for _ in range(size))
        word, changed = rng.choice(
            [
                ("cut", data[:at]),
                ("a byte changed", data[:at] + junk[:1] + data[at + 1 :]),
                ("bytes lost", data[:at] + data[at + size :]),
                ("bytes added", data[:at] + junk + data[at:]),
                ("doubled", data[:at] + data),
            ]
        )
        yield f"{number}: {word} at {at}", changed
