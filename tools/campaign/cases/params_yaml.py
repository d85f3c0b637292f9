"""The text of params.yaml: YAML that is malformed, odd, huge or hostile; and what is no file."""

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.campaign.case import ACCEPT, EITHER, NO_FILES, REFUSE, Case, in_place_of, put
from tools.campaign.mutations import mutate_bytes

KIND = "params-yaml"
FILE = "params.yaml"
CHECK = (("montessori", "check"),)
Change = Callable[[str], str | bytes]


def make_cases(rng: random.Random) -> Iterator[Case]:
    """A case for each change of the text, each row that is wrong, and random damage."""
    for name, (change, where) in {**_malformed(), **_wrong_keys()}.items():
        yield _make_case(name, change, where, REFUSE)
    for name, change in _odd_but_yaml().items():
        yield _make_case(name, change, "", EITHER)
    for name, change in _right().items():
        yield _make_case(name, change, "", ACCEPT)
    for name, (old, new, where) in ROWS.items():
        yield _make_case(f"row: {name}", replace(old, new), where, REFUSE)
    for name in SECTIONS:
        yield _make_case(f"section missing: {name}", _drop_section(name), name, REFUSE)
    for name, place in NO_FILES.items():
        yield Case(KIND, f"is {name}", in_place_of(FILE, place), CHECK, FILE, outputs=())
    yield Case(KIND, "no permission", _close, CHECK, FILE, outputs=(), unprivileged=True)
    yield from _damaged(rng)


def _make_case(name: str, change: Change, where: str, want: str) -> Case:
    def write(root: Path) -> None:
        text = (root / FILE).read_text(encoding="utf-8")
        put(FILE, change(text))(root)

    return Case(KIND, name, write, CHECK, where, want, outputs=())


def _damaged(rng: random.Random) -> Iterator[Case]:
    data = Path(FILE).read_bytes()
    for name, changed in mutate_bytes(data, rng, 40):
        yield Case(KIND, f"damage {name}", put(FILE, changed), CHECK, want=EITHER, outputs=())


def _close(root: Path) -> None:
    (root / FILE).chmod(0)


def replace(pattern: str, new: str) -> Change:
    """What replaces the first match of a pattern, which must be there."""

    def change(text: str) -> str:
        made, count = re.subn(pattern, lambda _: new, text, count=1, flags=re.M)
        if not count:
            raise ValueError(f"{pattern} is not in {FILE}: change the case")
        return made

    return change


def _add(line: str) -> Change:
    return lambda text: f"{text}\n{line}\n"


def _drop_section(name: str) -> Change:
    return lambda text: re.sub(rf"^{name}:.*?(?=^\S|\Z)", "", text, flags=re.M | re.S)


def _seed(value: str) -> Change:
    return replace(r"^seed: 0 ", f"seed: {value} ")


def _teacher(value: str) -> Change:
    return replace(r"teacher: \{path: data/micro/teacher\}", f"teacher: {value}")


def _student(value: str) -> Change:
    return replace(r"^  student-2: .*$", f"  student-2: {value}")


def _probe_files(value: str) -> Change:
    return replace(r"^probe_files: \{\}.*$", f"probe_files: {value}")


def _malformed() -> dict[str, tuple[Change, str]]:
    """YAML that cannot be read, or has no sections, and what the message names."""
    deep = "[" * 3000 + "]" * 3000
    changes: dict[str, Change] = {
        "empty file": lambda text: "",
        "only comments": lambda text: "# nothing\n",
        "a list": lambda text: "- a\n- b\n",
        "a scalar": lambda text: "42\n",
        "null document": lambda text: "null\n",
        "two documents": _add("---\nseed: 1"),
        "duplicate section": _add("probe: {prompts: 3}"),
        "duplicate seed": _add("seed: 1"),
        "duplicate key in a row": _teacher("{path: data/micro/teacher, path: data/micro/llama}"),
        "tab as indent": replace(r"^  prompts: ", "\tprompts: "),
        "undefined alias": _student("*nothing"),
        "python object": _seed("!!python/object/apply:os.system ['touch pwned']"),
        "python name": _teacher("!!python/name:os.system"),
        "unknown tag": _seed("!foo 0"),
        "UTF-16": lambda text: text.encode("utf-16"),
        "Latin-1 byte": lambda text: b"# caf\xe9\n" + text.encode(),
        "half a character": _seed('"\\ud800"'),
        "NUL": lambda text: "\0" + text,
        "control byte": lambda text: "seed2: \x01\n" + text,
        "no-break space as indent": replace(r"^  prompts:", "\u00a0\u00a0prompts:"),
        "unclosed brace": _teacher("{path: data/micro/teacher"),
        "unclosed quote": _seed('"0'),
        "wrong indent": replace(r"^  prompts:", " prompts:\n    x:"),
        "list as key": _probe_files("{[a, b]: {rows: data/micro/judge.json}}"),
        "mapping as key": _probe_files("\n  ? {a: b}\n  : {rows: x}"),
        "deep nesting": _add(f"extra: {deep}"),
        "deep mapping": _add("extra: " + "{a: " * 3000 + "1" + "}" * 3000),
    }
    return {name: (change, FILE) for name, change in changes.items()}


def _wrong_keys() -> dict[str, tuple[Change, str]]:
    """YAML that can be read, with values and keys that are wrong, and what is named."""
    many = "\n".join(f"k{i}: 1" for i in range(20_000))
    bomb = ["a0: &a0 [x, x]"]
    bomb += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return {
        "billion laughs": (_add("\n".join(bomb)), "a0"),
        "alias of itself": (_probe_files("&x {mine: *x}"), "probe_files"),
        "binary": (_seed("!!binary aGVsbG8="), "seed"),
        "date as seed": (_seed("2026-11-30"), "seed"),
        "sexagesimal seed": (_seed("1:30"), "seed"),
        "full-width digits": (_seed("\uff10"), "seed"),
        "look-alike key": (replace(r"^seed: ", "s\u0435ed: "), "seed"),
        "look-alike section": (replace(r"^probe:", "pr\u043ebe:"), "prob"),
        "numeric section": (_add("5: {a: 1}"), "5"),
        "null section": (_add("~: {a: 1}"), "None|null|~"),
        "boolean row name": (_probe_files("{true: {rows: data/micro/judge.json}}"), "probe_files"),
        "date as row name": (_probe_files("{2026-01-01: {rows: x}}"), "probe_files"),
        "20,000 unknown keys": (_add(many), "k0"),
        "20,000 unknown rows": (_add("runs2: {" + many.replace("\n", ", ") + "}"), "runs2"),
        "10 MB value": (_seed("x" * 10_000_000), "seed"),
        "10 MB key": (_add("x" * 1000 + ": 1"), "xxx"),
        "million of digits": (_seed("9" * 1_000_000), FILE),
    }


def _odd_but_yaml() -> dict[str, Change]:
    """YAML that may mean what was meant."""
    changes: dict[str, Change] = {
        "tab in a line": replace(r"^seed: 0 ", "seed:\t0 "),
        "merge key": _student("&x {path: data/micro/qwen}\n  third: {<<: *x}"),
        "octal seed": _seed("010"),
        "octal seed of YAML 1.2": _seed("0o10"),
        "underscore": replace(r"^  prompts: 250 ", "  prompts: 1_000 "),
        "CR only": lambda text: text.replace("\n", "\r"),
        "number as row name": _probe_files("{7: {rows: data/micro/judge.json}}"),
        "file with blanks": _probe_files("{mine: {rows: 'my rows.jsonl'}}"),
    }
    for word in ("yes", "no", "on", "off", "y", "n"):
        new = f"first_character: {word} "
        changes[f"boolean {word}"] = replace(r"first_character: true ", new)
    return changes


def _right() -> dict[str, Change]:
    """YAML that is right."""
    return {
        "anchor and alias": _student("&x {path: data/micro/qwen}\n  third: *x"),
        "boolean TRUE": replace(r"first_character: true ", "first_character: TRUE "),
        "1e-3 without a point": replace(r"learning_rate: 1.0e-3  ", "learning_rate: 1e-3  "),
        "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
        "CRLF": lambda text: text.replace("\n", "\r\n"),
        "10 MB comment": lambda text: "# " + "x" * 10_000_000 + "\n" + text,
    }


SECTIONS = (
    *("models", "sources", "probes", "rounds", "datasets", "students", "runs", "warmups"),
    *("influences", "probe", "influence", "teacher_dpo", "compare", "seed", "generation", "judge"),
)
TEACHER = r"^  montessori-1: \{teacher: models/teacher, seeds: seed/seeds\}"
START = r"start: models/teacher\}"
PATH = r"path: data/micro/qwen"
NAME = r"^  student-2: "
#: Rows that are wrong: what is replaced, by what, and what the message must name.
ROWS = {
    "unknown reference": (
        TEACHER,
        "  montessori-1: {teacher: models/x, seeds: seed/seeds}",
        "teacher",
    ),
    "wrong folder": (TEACHER, "  montessori-1: {teacher: runs/base, seeds: seed/seeds}", "teacher"),
    "reference with ..": (
        TEACHER,
        "  montessori-1: {teacher: models/../models/teacher, seeds: seed/seeds}",
        "teacher",
    ),
    "absolute reference": (
        TEACHER,
        "  montessori-1: {teacher: /etc, seeds: seed/seeds}",
        "teacher",
    ),
    "empty reference": (TEACHER, "  montessori-1: {teacher: '', seeds: seed/seeds}", "teacher"),
    "slash only": (TEACHER, "  montessori-1: {teacher: models/, seeds: seed/seeds}", "teacher"),
    "list as reference": (TEACHER, "  montessori-1: {teacher: [a], seeds: seed/seeds}", "teacher"),
    "circle of rounds": (START, "start: teachers/montessori-2}", "circle|start"),
    "round from itself": (START, "start: teachers/montessori-1}", "circle|start"),
    "probe of another round": (
        r"probe: montessori-1, start",
        "probe: montessori-2, start",
        "scores|probe",
    ),
    "run against nobody": (r"against: self-instruct\}", "against: nobody}", "against"),
    "run of a probe": (r"base: \{model: models/student", "base: {model: probe/x", "model"),
    "baseline that is not there": (r"baseline: self-instruct ", "baseline: nobody ", "baseline"),
    "baseline a list": (r"baseline: self-instruct ", "baseline: [a] ", "baseline"),
    "baseline a mapping": (r"baseline: self-instruct ", "baseline: {a: 1} ", "baseline"),
    "name with a slash": (NAME, "  a/b: ", "a/b"),
    "name with a blank": (NAME, "  a b: ", "a b"),
    "name ..": (NAME, "  ..: ", r"\.\."),
    "name .": (NAME, "  .: ", r"models\.\."),
    "name -x": (NAME, "  -x: ", "-x"),
    "name with an umlaut": (NAME, "  größe: ", "größe"),
    "name with @": (NAME, "  a@b: ", "a@b"),
    "name of a template": (NAME, "  ${seed}: ", "seed"),
    "name empty": (NAME, "  '': ", "models"),
    "name of 300 letters": (NAME, "  " + "n" * 300 + ": ", "nnn"),
    "name of 3,000 letters": (NAME, "  '" + "n" * 3000 + "': ", "line 14"),
    "name with a line end": (NAME, '  "a\\nb": ', "models"),
    "row is a list": (r"^  student-2: .*$", "  student-2: [1, 2]", "student-2"),
    "row is null": (r"^  student-2: .*$", "  student-2:", "student-2"),
    "row is a text": (r"^  student-2: .*$", "  student-2: data/micro/qwen", "student-2"),
    "row with an unknown key": (r"^  student-2: \{path: ", "  student-2: {pth: 1, path: ", "pth"),
    "change of an unknown key": (START, "start: models/teacher, prefs: {rul: cross}}", "rul"),
    "change of a wrong type": (START, "start: models/teacher, prefs: {margin: x}}", "margin"),
    "change that is NaN": (START, "start: models/teacher, prefs: {margin: .nan}}", "margin"),
    "change that is no mapping": (START, "start: models/teacher, prefs: 5}", "prefs"),
    "path missing": (PATH, "path: data/micro/nothing", "student-2.path"),
    "path empty": (PATH, "path: ''", "student-2.path"),
    "path of the repository": (PATH, "path: .", "student-2.path"),
    "path outside": (PATH, "path: ../outside", "student-2.path"),
    "path with NUL": (PATH, 'path: "a\\0b"', "student-2.path"),
    "path very long": (PATH, "path: " + "x" * 5000, "student-2.path"),
    "path of one long name": (PATH, "path: data/" + "x" * 300, "student-2.path"),
    "path a number": (PATH, "path: 7", "student-2.path"),
    "path of data": (PATH, "path: data", "student-2.path"),
    "path from home": (PATH, "path: ~/model", "student-2.path"),
    "path with a variable": (PATH, "path: $HOME", "student-2.path"),
    "path with a template": (PATH, "path: ${sources.seeds}", "line 14"),
    "path with a command": (PATH, "path: 'x; touch pwned'", "student-2.path"),
    "template missing": (r"fallback_template: \S+", "fallback_template: nowhere.jinja", "fallback"),
    "source missing": (r"^  reference: data/micro/sources/reference.json.*\n", "", "reference"),
}
