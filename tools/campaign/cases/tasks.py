"""Files of tasks: a description, seed questions and validation questions."""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from tools.campaign.case import ACCEPT, EITHER, REFUSE, Case, call_stage, put
from tools.campaign.mutations import mutate_bytes, mutate_json

KIND = "tasks"
FILE = "t.json"
CALL = (call_stage("task", source=FILE, out="out", metrics="m.json"),)
TASK: Mapping[str, Any] = {
    "name": "add",
    "description": "Adds.",
    "closed": True,
    "seeds": [{"input": f"q{i}", "target": f"a{i}"} for i in range(3)],
    "validation": [{"input": f"q{i}", "target": f"a{i}"} for i in range(10, 14)],
}
#: Values of a task that are wrong.
VALUES: Mapping[str, tuple[Any, ...]] = {
    "name": (5, None, "a/b", "..", "", " ", "a\0b", "a\nb", "x" * 300, ["a"]),
    "description": (5, None, " ", ["a"]),
    "closed": ("yes", None, 1),
    "seeds": (
        *([], {}, "abc", None, [5], [None], [{"target": "a"}], [{"input": "a"}]),
        *([{"input": None, "target": "a"}], [{"input": " ", "target": "a"}]),
        *([{"input": ["a"], "target": "a"}], [{"input": "a", "target": None}]),
        [{"input": "a", "target": " "}],
    ),
    "validation": (
        *([], "abc", [TASK["seeds"][0]], [TASK["validation"][0]] * 2),
        [{"input": "\ud800", "target": "a"}],
    ),
    "reasoning": ("abc", [1], {"a": 1}),
    "strategy": (5, "unheard-of"),
}
NO_TASKS: Mapping[str, Any] = {
    "empty list": [],
    "object": {},
    "number": 5,
    "null": None,
    "task null": [None],
    "task a text": ["a"],
    "task twice": [TASK, TASK],
    "recipe of no families": {"kind": "lab-tasks", "families": [], "test": 5},
    "recipe of an unknown family": {"kind": "lab-tasks", "families": ["nothing"], "test": 5},
    "recipe of 10**30": {"kind": "lab-tasks", "families": ["dozens"], "test": 10**30},
}


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each wrong value, each missing key, and random faults."""
    yield _make_case("right", [TASK], ACCEPT)
    for name, value in NO_TASKS.items():
        yield _make_case(name, value)
    for key in TASK:
        without = {other: value for other, value in TASK.items() if other != key}
        yield _make_case(f"no {key}", [without], EITHER if key == "closed" else REFUSE)
    for key, values in VALUES.items():
        for value in values:
            want = EITHER if key in ("reasoning", "strategy") else REFUSE
            yield _make_case(f"{key} {str(value)[:40]!r}", [{**TASK, key: value}], want)
    yield _make_case("unknown key", [{**TASK, "nothing": 1}], EITHER)
    for name, text in {"not JSON": "[", "empty": "", "depth": "[" * 100_000}.items():
        yield _make_text_case(name, text)
    for name, text in mutate_json([dict(TASK)], rng, 40):
        yield _make_text_case(name, text, EITHER)
    for name, data in mutate_bytes(json.dumps([TASK]).encode(), rng, 10):
        yield _make_text_case(f"damage {name}", data, EITHER)


def _make_case(name: str, value: Any, want: str = REFUSE) -> Case:
    return _make_text_case(name, json.dumps(value), want)


def _make_text_case(name: str, content: str | bytes, want: str = REFUSE) -> Case:
    return Case(KIND, name, put(FILE, content), CALL, FILE, want)
