"""Whether the inputs of a stage are what made them says they are.

DVC can take an old folder for one that is only missing (`dvc repro --pull --allow-missing` after
another's lock came by git), and it trusts its cache and its remotes. A stage that runs for hours on
the wrong pairs, or on weights with a flipped byte, would be recorded as good.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montessori.artifacts.files import MANIFEST, read_digests, read_json
from montessori.errors import MontessoriError

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")  # where DVC keeps objects unless it is told otherwise


@dataclass(frozen=True)
class Recorded:
    """What dvc.lock says of an output: the stage that made it, its MD5 in DVC's form."""

    path: Path
    stage: str
    md5: str


def require_recorded_inputs(paths: Iterable[Path], stage: str, lock: Path = LOCK) -> None:
    """Raise MontessoriError where an input is not what dvc.lock says another stage made.

    `paths` are all paths of the stage named `stage`, such as `teacher-dpo@montessori-1`; those that
    no other stage made, and those that are not there, are not looked at. All files are read.
    """
    recorded = read_recorded(lock, stage)
    for path in paths:
        for each in recorded:
            if each.path == path or each.path in path.parents:
                _require_recorded(each)


def read_recorded(lock: Path, stage: str = "") -> list[Recorded]:
    """The outputs of all stages but `stage`; of none where there is no lock."""
    found = []
    for name, entry in _stages(lock).items():
        for out in entry.get("outs", []):
            # Older versions of DVC wrote an MD5 of another kind, without the name of the hash.
            if name != stage and out.get("hash") == "md5":
                found.append(Recorded(Path(out["path"]), name, out["md5"]))
    return found


def find_disagreements(lock: Path) -> list[str]:
    """A line for each input whose record in dvc.lock is not that of the stage that made it."""
    made = {each.path: each for each in read_recorded(lock)}
    lines = []
    for name, entry in _stages(lock).items():
        for dep in entry.get("deps", []):
            each = made.get(Path(dep["path"]))
            if each is not None and dep.get("hash") == "md5" and dep["md5"] != each.md5:
                lines.append(f"{name} was run on another {each.path} than {each.stage} made")
    return lines


def _stages(lock: Path) -> dict[str, Any]:
    from montessori.graph.load import read_yaml

    stages = read_yaml(lock).get("stages", {}) if lock.is_file() else {}
    return stages if isinstance(stages, dict) else {}


def _require_recorded(each: Recorded) -> None:
    if not each.path.exists():
        return  # the stage itself says what is missing
    digests = read_digests(each.path)
    md5 = {name: digest.md5 for name, digest in digests.items()}
    found = md5[""] if each.path.is_file() else folder_md5(md5)
    if found == each.md5:
        return
    damaged = _find_damage(each.path, {name: digest.sha256 for name, digest in digests.items()})
    if damaged:
        raise _damage_error(each, damaged)
    raise MontessoriError(
        f"{each.path} is not what {each.stage} made: older files, or changed by hand",
        where=str(LOCK),
        expected=f"MD5 {each.md5}, found {found}",
        next=f"dvc checkout --force --allow-missing {each.path}, then the same command again; "
        "`git pull` is always followed by `dvc checkout --allow-missing`",
    )


def folder_md5(files: Mapping[str, str]) -> str:
    """The MD5 that DVC 3 gives a folder, from the MD5 of its files by relative path."""
    entries = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return _md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _find_damage(folder: Path, found: Mapping[str, str]) -> str:
    """The first file that is not what the folder's manifest says; "" where all are."""
    if MANIFEST not in found:
        return ""
    files = read_json(folder / MANIFEST).get("files", {})
    return next((name for name in sorted(files) if found.get(name) != files[name]), "")


def _damage_error(each: Recorded, name: str) -> MontessoriError:
    kept = _find_object(each.md5, name)
    remove = f"rm -f {kept}; " if kept else ""
    return MontessoriError(
        f"{each.path / name} is damaged: it is not what its manifest says",
        where=str(each.path / MANIFEST),
        expected=f"the file that {each.stage} wrote",
        next=f"{remove}rm -r {each.path}; dvc pull {each.path}, or dvc repro {each.stage}. If it "
        "comes back damaged, the remote is: `dvc remote modify NAME verify true` finds such files",
    )


def _find_object(folder: str, name: str) -> Path | None:
    """Where DVC's cache keeps file `name` of the folder with this MD5; None if it does not say."""
    listing = CACHE / folder[:2] / folder[2:]
    if not listing.is_file():
        return None
    for entry in json.loads(listing.read_text(encoding="utf-8")):
        if entry["relpath"] == name:
            return CACHE / entry["md5"][:2] / entry["md5"][2:]
    return None
