"""Recipes of rows and of eval items: .json files that name the lab's families or a hub data set."""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.campaign.case import (
    ACCEPT,
    EITHER,
    EVALS,
    REFUSE,
    ROWS,
    SEED_OUTPUTS,
    Case,
    all_of,
    call_seed,
    put,
)
from tools.campaign.mutations import mutate_json

KIND = "recipes"
FILE = "x.json"
LAB: Mapping[str, Any] = {"kind": "lab", "bucket": "train", "rows": 5, "weights": {"metres": 1}}
HUB: Mapping[str, Any] = {
    "kind": "hub",
    "dataset": "a/b",
    "revision": "0" * 40,
    "columns": {"instruction": "a", "response": "b"},
}
NO_RECIPES = {
    "not JSON": "{",
    "empty": "",
    "null": "null",
    "text": '"abc"',
    "number": "3",
    "unknown kind": '{"kind": "labs"}',
    "kind a list": '{"kind": ["lab"]}',
    "no kind": '{"rows": 5}',
    "depth": "[" * 100_000,
    "half a character": '{"kind": "\\ud800"}',
}
#: Keys of a recipe of the lab with values that are wrong.
LAB_CHANGES: tuple[Mapping[str, Any], ...] = (
    *({"rows": value} for value in (0, -1, "5", 1.5, None, True, [5])),
    *({"bucket": value} for value in ("tset", None, 5, ["train"])),
    *({"weights": value} for value in ({}, {"metres": 0}, {"metres": -1}, {"metres": "1"})),
    *({"weights": value} for value in (["metres"], {"meters": 1}, None, {"metres": None})),
    *({"seed": value} for value in ("a", 1.5, None)),
    {"row": 5},
    {"rows": 10**7},
    {"rows": 10**30},
)
HUB_CHANGES: tuple[Mapping[str, Any], ...] = (
    *({"revision": value} for value in ("main", "0" * 39, None, 5)),
    *({"columns": value} for value in ({}, ["a"], {"instruction": 1, "response": "b"})),
    {"columns": {"instruction": "a", "response": "b", "x": "y"}},
    *({"dataset": value} for value in (5, None, "", "../../etc")),
    *({"rows": value} for value in (-1, "5", 1.5)),
    {"trust_remote_code": True},
)
_ONE = {"story_add": 1}
EVAL_CHANGES: tuple[Mapping[str, Any], ...] = (
    *({"items": value} for value in ({}, {"micro_gsm8k": 0}, {"micro_gsm8k": "4"}, None, [1])),
    {"items": {"micro_gsm8k": 10**30}},
    {"weights": {"x": _ONE}},
    {"weights": {"micro_gsm8k": {"story": 1}}},
    {"weights": {"micro_gsm8k": {"story_add": -1}}},
    *(
        {"items": {name: 4}, "weights": {name: _ONE}}
        for name in ("a/b", "..", "/tmp/x", "", "a\0b", "a b\n", "x" * 300)
    ),
)


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each wrong recipe, sets that overlap, and random faults."""
    for name, text in NO_RECIPES.items():
        yield _make_case(name, text)
    for base, changes, source in (
        (LAB, LAB_CHANGES, "seeds"),
        (HUB, HUB_CHANGES, "seeds"),
        (json.loads(EVALS), EVAL_CHANGES, "evals"),
    ):
        yield from _changed(base, changes, source)
    for name, number in {"NaN": "NaN", "Infinity": "Infinity", "1e400": "1e400"}.items():
        text = json.dumps(LAB).replace('"metres": 1', f'"metres": {number}')
        yield _make_case(f"lab: weight {name}", text, where="weights")
    yield _make_case("hub: not there", json.dumps(HUB), where="a/b")
    yield _make_case("evals: a lab recipe", json.dumps(LAB), source="evals")
    yield from _sets()
    yield from _random_cases(rng)


def _make_case(
    name: str, text: str, where: str = FILE, want: str = REFUSE, source: str = "seeds"
) -> Case:
    write = all_of(put("evals.json", EVALS), put(FILE, text))
    return Case(KIND, name, write, (call_seed(**{source: FILE}),), where, want, SEED_OUTPUTS)


def _changed(
    base: Mapping[str, Any], changes: tuple[Mapping[str, Any], ...], source: str
) -> Iterator[Case]:
    """A case for each change of a recipe, and for each key that is missing."""
    kind = base["kind"]
    for number, change in enumerate(changes):
        key = next(iter(change))
        name = f"{kind}: {key} {number}: {str(change[key])[:40]!r}"
        yield _make_case(name, json.dumps({**base, **change}), f"{key}|{FILE}", REFUSE, source)
    for key in base:
        if key not in ("kind", "seed"):
            without = {other: value for other, value in base.items() if other != key}
            yield _make_case(f"{kind}: no {key}", json.dumps(without), key, REFUSE, source)


def _sets() -> Iterator[Case]:
    """Sets that share rows, and a local data set with a script, which must not run."""
    evals = put("evals.json", EVALS)
    rows = all_of(evals, put("x.jsonl", ROWS))
    call = (call_seed(seeds="x.jsonl"),)
    yield Case(KIND, "own rows as seeds", rows, call, "", ACCEPT, SEED_OUTPUTS)
    twice = all_of(evals, put("a.jsonl", ROWS), put("b.jsonl", ROWS))
    call = (call_seed(seeds="a.jsonl", reference="b.jsonl"),)
    yield Case(KIND, "seeds are the reference", twice, call, r"[ab]\.jsonl", outputs=SEED_OUTPUTS)
    shown = all_of(put("e.jsonl", ROWS), put("b.jsonl", ROWS))
    call = (call_seed(evals="e.jsonl", reference="b.jsonl"),)
    yield Case(KIND, "reference holds eval items", shown, call, "b.jsonl", outputs=SEED_OUTPUTS)
    outputs = (*SEED_OUTPUTS, "pwned")
    call = (call_seed(seeds=FILE),)
    yield Case(KIND, "hub: folder with a script", _write_script, call, "ds", outputs=outputs)


def _write_script(root: Path) -> None:
    put("evals.json", EVALS)(root)
    put("ds/ds.py", "open('pwned', 'w')\nimport datasets\n")(root)
    put(FILE, json.dumps({**HUB, "dataset": "ds"}))(root)


def _random_cases(rng: random.Random) -> Iterator[Case]:
    for kind, base, source in (
        ("lab", dict(LAB), "seeds"),
        ("hub", dict(HUB), "seeds"),
        ("evals", json.loads(EVALS), "evals"),
    ):
        for name, text in mutate_json(base, rng, 20):
            yield _make_case(f"{kind} {name}", text, FILE, EITHER, source)
