"""The bytes of a file of any origin: unpacked, and as UTF-8 where they are text."""

import codecs
import gzip
import zlib
from pathlib import Path

from montessori.errors import MontessoriError

PARQUET, ARROW, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"
READ = "JSON, JSON Lines, CSV, TSV, Parquet or Arrow, each also as .gz"
_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: First bytes of files that are often taken for files of rows, and what to type instead.
_OTHERS = {
    _GZIP: ("packed by gzip twice", "unpack it once: gunzip"),
    b"PK\x03\x04": ("a zip archive (an Excel file is one)", "unpack it, or save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file", "save it as CSV"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it: zstd -d"),
    b"\xfd7zXZ": ("packed by xz", "unpack it: unxz"),
    b"BZh": ("packed by bzip2", "unpack it: bunzip2"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "git lfs pull"),
    b"<!doctype": ("an HTML page", "download the file itself, not its page"),
    b"<html": ("an HTML page", "download the file itself, not its page"),
    b"%pdf": ("a PDF", "name a file of rows"),
}


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are gzip; text comes as UTF-8 without a mark.

    A byte-order mark decides between UTF-8 and UTF-16, which Excel writes. Raises MontessoriError
    for a file that cannot be read or unpacked, and names one of another kind.
    """
    data = _unpack(_read_bytes(path), path)
    for start, (kind, advice) in _OTHERS.items():
        if data.startswith(start) or data[: len(start)].lower() == start:
            raise file_error(f"the file is {kind}", path, advice)
    if data.startswith(_UTF16) and not data.startswith(codecs.BOM_UTF32_LE):
        return _decode_utf16(data, path)
    # Files with a mark that are written behind each other begin with several.
    while data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
    return data


def decode_text(data: bytes, path: Path) -> str:
    """UTF-8 as text. Raises MontessoriError with the line of the first byte that is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise file_error(
            f"line {line}: not UTF-8 text ({error.reason})", path, "save the file as UTF-8"
        ) from error


def file_error(what: str, path: Path, advice: str = "") -> MontessoriError:
    """The error of a file as a whole."""
    return MontessoriError(
        what, where=str(path), expected=f"a file of {READ}", next=advice or f"fix {path}"
    )


def _read_bytes(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise file_error("cannot be read: the file does not exist", path, "fix the path") from error
    except OSError as error:
        raise file_error(f"cannot be read ({error})", path, "fix the path") from error


def _unpack(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data) if data.startswith(_GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        raise file_error(f"a broken gzip file ({error})", path, "fetch the file again") from error


def _decode_utf16(data: bytes, path: Path) -> bytes:
    try:
        return data.decode("utf-16").encode("utf-8")
    except UnicodeError as error:
        raise file_error(f"not UTF-16 text ({error})", path, "save the file as UTF-8") from error
