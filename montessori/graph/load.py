"""params.yaml as frozen, typed sections: every unknown, missing or wrong key at once.

A section is a frozen dataclass. The type of a field may carry limits (`graph/limits.py`); a method
`check` of the class has the rules that relate several fields.
"""

import dataclasses
import math
import re
import types
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from montessori.errors import MontessoriError, shorten
from montessori.graph.limits import LARGEST, Limit

T = TypeVar("T")
FILE = "params.yaml"
MOST_SHOWN = 50  # problems of one file
LONGEST_PROBLEM = 1000  # characters
_NUMBER = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")
_WRONG: Any = object()  # stands for a value of the wrong type, so that no rule looks at it


def read_yaml(path: Path | str = FILE) -> dict[str, Any]:
    """The mapping in a YAML file. Raises MontessoriError if it is missing, malformed or a list."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MontessoriError(
            "file not found", where=str(path), next="start in the root of the repository"
        ) from error
    except UnicodeDecodeError as error:
        raise MontessoriError(
            f"not valid YAML: {error}", where=str(path), next=f"fix {path}, then montessori check"
        ) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """The mapping in a YAML text. Raises MontessoriError if it is malformed or a list."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        raw = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:
        # besides its own errors, the library lets through those of dates, depth and keys
        raise MontessoriError(
            f"not valid YAML: {_describe(error)}",
            where=where,
            next=f"fix {where}, then montessori check",
        ) from error
    if not isinstance(raw, dict):
        raise MontessoriError("the file has no sections", where=where, next=f"git checkout {where}")
    return raw


def _describe(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "lists or mappings within one another, too deep to be read"
    return str(error)[:1000] or type(error).__name__


def require_section(raw: Mapping[str, Any], name: str, cls: type[T], file: str = FILE) -> T:
    """The section `name` as a frozen dataclass `cls`.

    Raises one MontessoriError with all its problems: unknown and missing keys, wrong types, values
    outside their limits, and what the dataclass's own `check()` says of values together.
    """
    value, problems = read_section(raw, name, cls)
    if problems or value is None:
        raise join_problems(problems, file)
    return value


def apply_row_changes(
    raw: Mapping[str, Any], name: str, rows: str | tuple[str, ...], row: str
) -> Mapping[str, Any]:
    """`raw` with section `name` as row `row` of the plural section `rows` has it.

    A row may hold a mapping named like a section: `{prefs: {rule: best-worst}}` replaces one key
    of section `prefs` for this row. Of several sections the first that has such a row counts.
    Without `rows` and for a row that is not there, `raw` itself.
    """
    base = raw.get(name, {})
    for section in (rows,) if isinstance(rows, str) else rows:
        named = raw.get(section)
        entry = named.get(row) if isinstance(named, Mapping) else None
        changes = entry.get(name) if isinstance(entry, Mapping) else None
        if isinstance(changes, Mapping) and isinstance(base, Mapping):
            return {**raw, name: {**base, **changes}}
    return raw


def join_problems(problems: list[str], file: str = FILE) -> MontessoriError:
    """One error that lists problems, each of which starts with its key."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
    lines = "".join(f"\n  {shorten(problem, LONGEST_PROBLEM)}" for problem in problems[:MOST_SHOWN])
    if len(problems) > MOST_SHOWN:
        lines += f"\n  and {len(problems) - MOST_SHOWN:,} more"
    return MontessoriError(
        f"{count} in {file}:{lines}", next=f"fix {file}, then run montessori check"
    )


def read_section(raw: Mapping[str, Any], name: str, cls: type[T]) -> tuple[T | None, list[str]]:
    """The section, or None and its problems."""
    if name not in raw:
        required = [f.name for f in dataclasses.fields(cls) if _required(f)]  # type: ignore[arg-type]
        if required:
            return None, [f"{name}: section is missing (keys {', '.join(required)})"]
    problems: list[str] = []
    value = _convert(raw.get(name, {}), cls, name, problems)
    return (None if problems else value), problems


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _convert(value: Any, kind: Any, key: str, problems: list[str]) -> Any:
    """`value` as type `kind`, or _WRONG; what does not fit is added to `problems`."""
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, key, problems)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _limited(value, arguments[0], arguments[1:], key, problems)
    if origin in (Union, types.UnionType):
        return _union(value, arguments, key, problems)
    if origin is Literal:
        # The types too, because True == 1 and 1 == 1.0 in Python.
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        return _wrong(value, "one of " + ", ".join(map(str, arguments)), key, problems)
    if origin is tuple:
        return _tuple(value, arguments[0], key, problems)
    if origin is dict:
        if not isinstance(value, dict):
            return _wrong(value, "a mapping", key, problems)
        return _mapping(value, arguments[0], arguments[1], key, problems)
    return _scalar(value, kind, key, problems)


def _limited(value: Any, kind: Any, limits: tuple[Any, ...], key: str, problems: list[str]) -> Any:
    """`value` as `kind`, within `limits`; what is no limit there, such as a unit, is ignored."""
    converted = _convert(value, kind, key, problems)
    if converted is _WRONG:
        return _WRONG
    for limit in limits:
        problem = limit.find_problem(converted) if isinstance(limit, Limit) else None
        if problem:
            problems.append(f"{key}: {problem}")
    return converted


def _scalar(value: Any, kind: Any, key: str, problems: list[str]) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, key, problems)
    # A bool is an int in Python, but `rows: true` is a slip.
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return _within_reason(value, key, problems) if kind is int else value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    expected = names.get(kind, str(kind))
    # Quotes make a text of a number.
    if kind in (int, float) and isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        expected += "; write it without quotes"
    return _wrong(value, expected, key, problems)


def _number(value: float, key: str, problems: list[str]) -> Any:
    """A finite float: no comparison with "not a number" is true, so no limit would see it."""
    try:
        number = float(value)
    except OverflowError:
        # A whole number too large for a float, refused below like infinity.
        number = math.inf
    if math.isfinite(number):
        return _within_reason(number, key, problems)
    shown = repr(value) if isinstance(value, float) else f"a number of {_digits(value)} digits"
    problems.append(f"{key}: {shown} is not a finite number")
    return _WRONG


def _within_reason(value: Any, key: str, problems: list[str]) -> Any:
    """A number that is not absurdly large: no limit of a type looks at that."""
    if abs(value) <= LARGEST:
        return value
    shown = f"{value:g}" if isinstance(value, float) else f"a number of {_digits(value)} digits"
    problems.append(f"{key}: {shown} is beyond {LARGEST:,}, the largest number of a setting")
    return _WRONG


def _digits(number: int) -> str:
    """About how many digits a whole number has: Python writes no numbers of very many."""
    return f"{int(abs(number).bit_length() * math.log10(2)) + 1:,}"


def _tuple(value: Any, kind: Any, key: str, problems: list[str]) -> Any:
    if not isinstance(value, list | tuple):
        return _wrong(value, "a list", key, problems)
    entries = [_convert(v, kind, f"{key}[{i}]", problems) for i, v in enumerate(value)]
    return _WRONG if _WRONG in entries else tuple(entries)


def _mapping(value: dict[Any, Any], names: Any, kind: Any, key: str, problems: list[str]) -> Any:
    """A mapping with values of one type; its keys are free, or those of a Literal."""
    known = get_args(names) if get_origin(names) is Literal else None
    problems += _unknown_keys(value, known, key) if known else []
    entries = {k: _convert(entry, kind, f"{key}.{k}", problems) for k, entry in value.items()}
    return _WRONG if _WRONG in entries.values() else entries


def _unknown_keys(value: Mapping[Any, Any], known: Collection[str], key: str) -> list[str]:
    unknown = [name for name in value if name not in known]
    # looking for names that are near takes time, and no more problems are shown
    shown = [
        f"{key}.{name}: unknown key{_near(str(name), list(known))}" for name in unknown[:MOST_SHOWN]
    ]
    return shown + [f"{key}.{name}: unknown key" for name in unknown[MOST_SHOWN:]]


def _union(value: Any, kinds: tuple[Any, ...], key: str, problems: list[str]) -> Any:
    if value is None and type(None) in kinds:
        return None
    trials: list[list[str]] = []
    for kind in (kind for kind in kinds if kind is not type(None)):
        found: list[str] = []
        converted = _convert(value, kind, key, found)
        if not found:
            return converted
        trials.append(found)
    # With one type besides null, all its problems are shown; with several, the first of each.
    problems += trials[0] if len(trials) == 1 else [" or ".join(trial[0] for trial in trials)]
    return _WRONG


def _dataclass(value: Any, cls: Any, key: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        return _wrong(value, "a mapping of keys to values", key, problems)
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    problems += _unknown_keys(value, fields, key)
    missing = [name for name, field in fields.items() if name not in value and _required(field)]
    problems += [f"{key}.{name}: key is missing" for name in missing]
    settings = {
        name: _convert(value[name], hints[name], f"{key}.{name}", problems)
        for name in fields
        if name in value
    }
    if missing or _WRONG in settings.values():
        return _WRONG
    made = cls(**settings)
    check = getattr(made, "check", None)
    if check is not None:
        problems += [f"{key}.{problem}" for problem in check()]
    return made


def _near(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(known)})"


def _wrong(value: Any, expected: str, key: str, problems: list[str]) -> Any:
    problems.append(f"{key}: {value!r} ({type(value).__name__}) is not {expected}")
    return _WRONG
