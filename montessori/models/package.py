"""A file out of a package of the package index, by pinned version and SHA-256.

pip fetches it from the index that the machine is set up with, without running code of the package.
A wheel that was fetched once is kept by its digest, so that a second time needs no network.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile

from montessori.artifacts.files import file_digest
from montessori.errors import MontessoriError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._+!-]*")


@dataclass(frozen=True)
class Sha256:
    """A limit of settings: 64 hexadecimal digits in lower case."""

    def find_problem(self, value: str) -> str | None:
        """The text and the form."""
        return None if _DIGEST.fullmatch(value) else f"{value!r} is not a SHA-256 of 64 hex digits"

    def __str__(self) -> str:
        return "64 hex digits"


@dataclass(frozen=True)
class PinnedPackage:
    """A limit of settings: a package at one version, name==1.2.3."""

    def find_problem(self, value: str) -> str | None:
        """The text and the form."""
        if _PINNED.fullmatch(value):
            return None
        return f"{value!r} is not a package at a version, such as name==1.2.3"

    def __str__(self) -> str:
        return "name==version"


def extract_file(package: str, sha256: str, name: str, out: Path, where: Path) -> Path:
    """Write the file `name` of a package's wheel into folder `out`; returns its path.

    `name` is a file name, or the end of a path inside the wheel. `sha256` is the wheel's digest.
    `where` is what names the package. Raises MontessoriError if the package cannot be fetched, has
    another digest, or has no such file.
    """
    wheel = _find_wheel(package, sha256, where)
    try:
        with ZipFile(wheel) as archive:
            member = _choose_member(archive.namelist(), name, package, where)
            path = out / PurePosixPath(member).name
            with archive.open(member) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except BadZipFile as error:
        raise MontessoriError(
            f"{package} is no wheel: {error}",
            where=str(where),
            expected="a wheel (.whl) that holds the file",
            next="name another package",
        ) from error
    return path


def cache_folder() -> Path:
    """Where fetched wheels are kept: montessori/packages in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "montessori" / "packages"


def _find_wheel(package: str, sha256: str, where: Path) -> Path:
    """The wheel in the cache; fetched first if it is not there, or was changed there."""
    kept = cache_folder() / f"{sha256}.whl"
    if kept.is_file() and file_digest(kept) == sha256:
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fetch-", dir=kept.parent) as spare:
        os.replace(_download_wheel(package, sha256, Path(spare), where), kept)
    return kept


def _download_wheel(package: str, sha256: str, spare: Path, where: Path) -> Path:
    wanted = spare / "wanted.txt"
    # A digest in the file makes pip check it.
    wanted.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(spare)]
    done = subprocess.run([*command, "-r", str(wanted)], capture_output=True, text=True)
    wheels = list(spare.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    raise _describe_failure(package, sha256, done.stdout + done.stderr, where)


def _describe_failure(package: str, sha256: str, output: str, where: Path) -> MontessoriError:
    if "DO NOT MATCH THE HASHES" in output:
        found = re.findall(r"Got\s+([0-9a-f]{64})", output)
        return MontessoriError(
            f"{package} has the SHA-256 {', '.join(found) or 'of another file'}, not {sha256}",
            where=str(where),
            expected="the file that the digest was taken of",
            next="correct sha256 if you trust what the index has now",
        )
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    reason = (errors or output.strip().splitlines() or ["pip said nothing"])[-1]
    return MontessoriError(
        f"{package} cannot be fetched: {reason.removeprefix('ERROR:').strip()}",
        where=str(where),
        expected="a wheel of that version on the package index that pip uses",
        next="try again with a network, correct the version, or name a local .gguf file",
    )


def _choose_member(names: list[str], name: str, package: str, where: Path) -> str:
    found = [member for member in names if member == name or member.endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    ending = PurePosixPath(name).suffix
    there = [member for member in names if member.endswith(ending)]
    raise MontessoriError(
        f"{package} has {len(found) or 'no'} files {name}",
        where=str(where),
        expected=f"one of {', '.join(there[:5])}" if there else f"a package with {ending} files",
        next="correct the file's name; a folder before it tells equal names apart",
    )
