"""On which line of a YAML or JSON file a key stands, for errors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LONGEST_KEY = 1000  # characters of a problem among which its key is looked for


def find_lines(text: str) -> dict[str, int]:
    """Line numbers from 1 of all keys and list entries, by path: `rounds.montessori-1.start`.

    Empty for a text that cannot be read. What an alias repeats has the place of its anchor alone.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # JSON is YAML, but for tabs between its values and for pairs of surrogates in its texts
        root = YAML(typ="safe", pure=True).compose(text.lstrip("\ufeff").replace("\t", " "))
        return dict(_walk(root, "", set())) if root is not None else {}
    except (YAMLError, ValueError, RecursionError):
        return {}


def _walk(node: Any, above: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    # aliases may lead round in a circle, or make millions of paths of a few lines
    if id(node) in seen:
        return
    seen.add(id(node))
    if node.id == "mapping":
        for key, value in node.value:
            path = f"{above}.{key.value}" if above else str(key.value)
            yield path, key.start_mark.line + 1
            yield from _walk(value, path, seen)
    elif node.id == "sequence":
        for place, entry in enumerate(node.value):
            yield f"{above}[{place}]", entry.start_mark.line + 1
            yield from _walk(entry, f"{above}[{place}]", seen)


def number_problems(problems: Sequence[str], lines: Mapping[str, int]) -> list[str]:
    """Each problem with the line of the key that it starts with, or of what should hold the key."""
    return [_number_problem(problem, lines) for problem in problems]


def _number_problem(problem: str, lines: Mapping[str, int]) -> str:
    ends = [place for place, sign in enumerate(problem[:LONGEST_KEY]) if sign in ".:["]
    holding = [lines[problem[:end]] for end in ends if problem[:end] in lines]
    return f"line {holding[-1]}: {problem}" if holding else problem
