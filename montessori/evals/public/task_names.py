"""The names of lm-eval's tasks, read from its task files without importing it.

lm-eval's own index needs half a minute for its 14,000 files, of which it parses each as YAML with
all that it includes. The names alone are at the start of lines, and take a second. Names that are
not found so are looked up in the index itself.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

#: `task: NAME`, `group: NAME` and `tag: NAME`, or a list of names below one of them.
_KEY = re.compile(
    rb"^(task|group|tag)[ \t]*:[ \t]*([^\s#\[{|>][^\r\n#]*?)?[ \t]*(?:#[^\r\n]*)?\r?\n"
    rb"((?:[ \t]*-[ \t]*[^\s:{]+[ \t]*\r?\n)*)",
    re.MULTILINE,
)
_SHOTS = re.compile(rb"^num_fewshot[ \t]*:[ \t]*(\d+)", re.MULTILINE)
_INCLUDE = re.compile(rb"^include[ \t]*:[ \t]*([^\s#]+)", re.MULTILINE)
_QUOTES = b"\"'"
DEPTH = 5  # files that include each other, at most


@dataclass(frozen=True)
class TaskFile:
    """A file that defines a task, None for the name of a group or of a tag."""

    path: Path | None

    def never_has_examples(self) -> bool:
        """Whether the task says that it has 0 examples, itself or in a file that it includes."""
        path = self.path
        for _ in range(DEPTH):
            if path is None or not path.is_file():
                return False
            text = path.read_bytes()
            shots, included = _SHOTS.search(text), _INCLUDE.search(text)
            if shots:
                return int(shots[1]) == 0
            path = path.parent / included[1].strip(_QUOTES).decode() if included else None
        return False


@cache
def find_task_files() -> Mapping[str, TaskFile] | None:
    """The tasks, groups and tags of lm-eval by name; None where lm-eval is not installed."""
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return None
    names: dict[str, TaskFile] = {}
    for path in (Path(spec.origin).parent / "tasks").rglob("*.yaml"):
        for key, name, listed in _KEY.findall(path.read_bytes() + b"\n"):
            if name and key == b"task":
                names[_plain(name)] = TaskFile(path)
            elif name:
                names.setdefault(_plain(name), TaskFile(None))
            for line in listed.splitlines():
                names.setdefault(_plain(line.strip().removeprefix(b"-")), TaskFile(None))
    return names


def _plain(name: bytes) -> str:
    return name.strip().strip(_QUOTES).decode("utf-8", "replace")


def suggest_tasks(names: Iterable[str]) -> dict[str, str]:
    """For each name that is not in lm-eval's index: those that are nearest, as a clause."""
    from montessori.evals.public.lm_eval_tasks import task_index

    known = task_index().all_tasks
    clauses = {}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            clauses[name] = f"; did you mean {' or '.join(close)}?" if close else ""
    return clauses
