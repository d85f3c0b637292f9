"""Each setting of params.yaml with each kind of bad value; each section with other shapes."""

import copy
import functools
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from montessori.commands.check import find_problems
from montessori.graph import scripts
from montessori.graph.load import join_problems, read_yaml
from montessori.graph.stages import Graph, read_graph
from tools.campaign.case import EITHER, REFUSE, Case

KIND = "settings"
CHECK = (("montessori", "check"),)
#: Keys whose values below 0 have a meaning, and those for which infinity is "no limit".
MAY_BE_NEGATIVE = {"presence_penalty", "audit_spearman", "shots", "seed", "margin"}
#: Texts that may be anything: another text is not known to be wrong.
ANY_TEXT = {"icl.stop", "reading.list", "machine.server_key_env"}
#: Paths of stages that no row asks for: nothing is looked for there.
UNUSED = {"judge_signal.template", "elicit.templates", "icl.templates", "harness.data"}
COMMON: Mapping[str, Any] = {"null": None, "a list": [1], "a mapping": {"a": 1}}
NUMBERS: Mapping[str, Any] = {
    "text": "x",
    "true": True,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "10**30": 10**30,
}

Check = Callable[[Mapping[str, Any]], None]  # raises what `montessori check` would say


def _check(graph: Graph, raw: Mapping[str, Any]) -> None:
    problems = find_problems(raw, graph, Path())
    if problems:
        raise join_problems(problems)


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each leaf and bad value, and for each section and shape."""
    whole = read_yaml()
    # they do not change while the cases run, and reading them would be most of a check
    scripts.read_script = functools.cache(scripts.read_script)  # type: ignore[assignment]
    check = functools.partial(_check, read_graph(Path()))
    for path, value in find_leaves(whole):
        for word, bad in bad_values(value).items():
            yield _make_case(whole, path, word, bad, judge_want(path, value, word), check)
    for name, section in whole.items():
        if isinstance(section, dict) and section:
            yield from _section_cases(whole, name, section, check)


def find_leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and values of a mapping's leaves; an empty mapping is one."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from find_leaves(value, (*path, key))
    else:
        yield path, node


def bad_values(value: Any) -> dict[str, Any]:
    """Bad values in place of one, by their names."""
    if isinstance(value, bool):
        return {**COMMON, "1": 1, "text true": "true"}
    if isinstance(value, int):
        return {**COMMON, **NUMBERS, "text of it": str(value), "1.5": 1.5, "negative": -3}
    if isinstance(value, float):
        return {**COMMON, **NUMBERS, "text of it": str(value), "negative": -3.5, "1e300": 1e300}
    if isinstance(value, str):
        return {**COMMON, "number": 7, "true": True, "unknown text": "no-such-thing"}
    if isinstance(value, list):
        return {**COMMON, "text": "abc", "list of null": [None], "nested": [[1]]}
    return {"null": None, "a list": [1], "text": "abc", "number": 3}


def judge_want(path: tuple[str, ...], value: Any, word: str) -> str:
    """Whether a value must be refused; some are absurd, or right for some keys."""
    if word == "negative" and path[-1] in MAY_BE_NEGATIVE:
        return EITHER
    if word == "unknown text" and ".".join(path) in ANY_TEXT | UNUSED:
        return EITHER
    if isinstance(value, list) and word == "a list":
        return EITHER
    return REFUSE


def _section_cases(
    whole: Mapping[str, Any], name: str, section: Mapping[str, Any], check: Check
) -> Iterator[Case]:
    shapes = {
        "unknown key": {**section, "no_such_key": 1},
        "a list": [dict(section)],
        "null": None,
        "a text": "abc",
        "a number": 5,
    }
    for word, shape in shapes.items():
        yield _make_case(whole, (name,), word, shape, REFUSE, check)
    for key in section:
        without = {other: value for other, value in section.items() if other != key}
        yield _make_case(whole, (name,), f"without {key}", without, EITHER, check)


def _make_case(
    whole: Mapping[str, Any], path: tuple[str, ...], word: str, value: Any, want: str, check: Check
) -> Case:
    def build() -> dict[str, Any]:
        raw = copy.deepcopy(dict(whole))
        node = raw
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
        return raw

    def write(root: Path) -> None:
        from ruamel.yaml import YAML

        YAML(typ="safe").dump(build(), root / "params.yaml")

    key = ".".join(path)
    return Case(
        KIND,
        f"{key} = {word}",
        write,
        CHECK,
        where=re.escape(path[0] if word.startswith("without") else key),
        want=want,
        outputs=(),
        check=lambda: check(build()),
    )
