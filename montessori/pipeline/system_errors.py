"""What the system refuses, in words: no space, no permission, a folder in place of a file.

Libraries raise it as errors of their own, with nothing of the system's but its number in the text
(safetensors and polars: "os error 28").
"""

import errno
import os
import re

from montessori.errors import MontessoriError

#: What is wrong with `{file}`, and what to do, by the system's number.
KINDS = {
    errno.ENOSPC: (
        "no space left on the disk; nothing half-written stays, finished parts do",
        "free some (dvc gc --workspace, df -h .), then the same command again",
    ),
    errno.EACCES: (
        "no permission for {file}",
        "ls -ld {file} shows who has; chmod u+rwX {file}, or ask its owner",
    ),
    errno.EROFS: (
        "{file} cannot be written: its file system is read-only",
        "work in a folder that can be written, or mount it with the right to write",
    ),
    errno.EISDIR: ("{file} is a folder, where a file is expected", "move the folder away"),
    errno.ENOTDIR: (
        "on the way to {file} there is a file, where a folder is expected",
        "move the file away, or name another path",
    ),
    errno.EEXIST: (
        "{file} is there already, and is not a folder",
        "move it away, or name another path",
    ),
    errno.ELOOP: ("{file} is a link that leads to itself", "rm {file}, then put the file there"),
    errno.ENAMETOOLONG: ("the name is too long for the system: {file}", "choose a shorter name"),
    errno.ENOENT: ("{file} is not there", "ls shows what is; or dvc repro, or dvc pull"),
    errno.EMFILE: ("too many files are open", "ulimit -n 65536, then the same command again"),
}
KINDS |= {errno.EDQUOT: KINDS[errno.ENOSPC], errno.EPERM: KINDS[errno.EACCES]}
SHOWN = 120  # characters of a file's name


def explain_system_error(error: BaseException) -> MontessoriError | None:
    """What the system refused, if that is what `error` or an error behind it says; else None."""
    cause: BaseException | None = error
    while cause is not None:
        number, file = _read_number(cause), getattr(cause, "filename", None)
        if number in KINDS and (file or "{file}" not in KINDS[number][0]):
            return _describe(number, file)
        if number and (file or not getattr(cause, "errno", None)):  # or told by the text alone
            return _quote(number, cause, file)
        cause = cause.__cause__ or cause.__context__
    return None


def _read_number(error: BaseException) -> int:
    """The system's number of an error; 0 where there is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    told = re.search(r"os error (\d+)", str(error))
    return int(told[1]) if told else 0


def _describe(number: int, file: object) -> MontessoriError:
    what, then = KINDS[number]
    name = _shorten(file)
    return MontessoriError(what.replace("{file}", name), next=then.replace("{file}", name))


def _quote(number: int, error: BaseException, file: object) -> MontessoriError:
    """The system's own words, and the file or what the library said of it."""
    place = _shorten(file) if file else _shorten(str(error).splitlines()[0])
    looked = f"ls -ld {place} shows what is there" if file else "see what is there (ls -ld)"
    return MontessoriError(
        f"{os.strerror(number)}: {place}", next=f"{looked}; then the same command again"
    )


def _shorten(file: object) -> str:
    name = os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) else str(file)
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
