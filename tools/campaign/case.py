"""One bad input: what is written, what is started with it, and how that must end."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: What a case's command must do: end with an error, end without, or either without a crash.
REFUSE, ACCEPT, EITHER = "refuse", "accept", "either"

Write = Callable[[Path], object]  # writes the files of a case below its folder
Command = tuple[str, ...]

#: A row that is right, and two dozen of them.
ROW = '{"instruction": "Name a river.", "response": "The Nile."}\n'
ROWS = "".join(
    f'{{"instruction": "Name thing {i}.", "response": "Thing {i}."}}\n' for i in range(24)
)


@dataclass(frozen=True)
class Case:
    """A bad input.

    `kind` is its class; `commands` run one after the other until one fails. An error must name
    `where` (a pattern), and leave none of `outputs`. `check`, where it is set, does the same as the
    commands without a process of its own: it returns, or raises. `unprivileged`: without root's
    right to pass over permissions.
    """

    kind: str
    name: str
    write: Write
    commands: tuple[Command, ...]
    where: str = ""
    want: str = REFUSE
    outputs: tuple[str, ...] = ("out", "m.json")
    check: Callable[[], object] | None = None
    unprivileged: bool = False

    @property
    def title(self) -> str:
        """The class and the name, by which `--only` finds a case."""
        return f"{self.kind}: {self.name}"


def nothing(root: Path) -> None:
    """Write nothing."""


def put(name: str, content: str | bytes) -> Write:
    """What writes a file; half characters are written as they are."""

    def write(root: Path) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encode(content))

    return write


def all_of(*writes: Write) -> Write:
    """What writes several things in turn."""

    def write(root: Path) -> None:
        for one in writes:
            one(root)

    return write


def in_place_of(name: str, change: Callable[[Path], object]) -> Write:
    """What puts something else where a file is: a folder, a link, another mode."""

    def write(root: Path) -> None:
        path = root / name
        if path.is_symlink() or path.exists():
            path.unlink()
        change(path)

    return write


def copy_folder(source: str, name: str) -> Write:
    """What copies a folder of the project, so that the case may change it."""
    return lambda root: shutil.copytree(root / source, root / name)


#: Things that may be where a file is expected.
NO_FILES: Mapping[str, Callable[[Path], object]] = {
    "missing file": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "dangling link": lambda path: path.symlink_to("gone"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


def call_stage(kind: str, name: str = "mine", **paths: str) -> Command:
    """The command of a stage script; keys of `paths` are its options, with `_` for `-`."""
    options: list[str] = []
    for option, path in paths.items():
        options += [f"--{option.replace('_', '-')}", path]
    return ("python", "-m", f"stages.{kind}", "--name", name, *options)


#: Sources of the lab: every case of a source replaces one of them.
SOURCES = {
    "seeds": "data/micro/sources/seeds.json",
    "reference": "data/micro/sources/reference.json",
    "other_reference": "data/micro/sources/other_reference.json",
    "evals": "evals.json",
    "heldout": "data/micro/sources/no_rows.json",
}
SEED_OUTPUTS = ("o/seeds", "o/reference", "o/other-reference", "o/evals", "m.json")
#: A small set of eval items, which every case of stage `seed` has.
EVALS = (
    '{"kind": "lab-evals", "seed": 0, "items": {"micro_gsm8k": 4},'
    ' "weights": {"micro_gsm8k": {"story_add": 1}}}'
)


def call_seed(**sources: str) -> Command:
    """The command of stage `seed`, with some of its sources replaced."""
    outputs = {f"out_{name}": f"o/{name.replace('_', '-')}" for name in list(SOURCES)[:-1]}
    return call_stage("seed", "seed", **{**SOURCES, **sources}, **outputs, metrics="m.json")


def _encode(content: str | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    return content.encode("utf-8", "surrogatepass")
