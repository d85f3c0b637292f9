"""What `montessori doctor` says of DVC's remotes: tried, by listing, and put into words."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from montessori.commands.findings import Finding

PROBE = Path(__file__).with_name("remote_probe.py")
SECONDS = 45.0  # for each remote; libraries of buckets try for minutes
GUIDE = "docs/how-to/remotes.md"
PLUGINS = {"s3": "dvc-s3", "ssh": "dvc-ssh", "webdav": "dvc-webdav", "webdavs": "dvc-webdav"}
GIB = 1024**3
#: Signs of a cause in types and texts of errors, by what they say; the first that fits counts.
_REFUSED = re.compile(
    r"unable to locate credentials|NoCredentials|PermissionDenied|Permission denied|PermissionError"
    r"|AccessDenied|Access Denied|Forbidden|Unauthorized|InvalidAccessKeyId|SignatureDoesNotMatch"
    r"|InvalidToken|ExpiredToken|\b40[13]\b|AuthError|partial credentials|host key",
    re.IGNORECASE,
)
_DOWN = re.compile(
    r"could not connect|ConnectionRefused|Connect call failed|cannot connect|ConnectError|refused"
    r"|name or service|getaddrinfo|unreachable|timed? ?out|Timeout|ConnectionLost|ConnectionReset"
    r"|gaierror|Network|No route|SSL",
    re.IGNORECASE,
)
_NO_BUCKET = re.compile(r"NoSuchBucket|bucket does not exist|InvalidBucketName", re.IGNORECASE)


def remote_findings(root: Path) -> list[Finding]:
    """Try each remote of the checkout at `root`; a note where there is none. Nothing is written."""
    names, why = _run_probe(root)
    if why:
        text = f"cannot be tried: {hide_user(why)}"
        return [Finding("remote", "bad", text, "dvc remote list")]
    if not names:
        next = f"to share data: dvc remote add -d NAME PATH-OR-URL ({GUIDE})"
        return [Finding("remote", "note", "none", next)]
    return [_try_remote(root, one["name"]) for one in names]


def _try_remote(root: Path, name: str) -> Finding:
    lines, why = _run_probe(root, name)
    if not lines:
        next = "start the server or the network, correct the address, then montessori doctor"
        return Finding("remote", "bad", f"{name} {hide_user(why)}", next)
    return describe_remote({**lines[0], **lines[-1], "unfinished": bool(why)})


def _run_probe(root: Path, *names: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of `remote_probe`, and why there are no more if it did not end well."""
    try:
        done = subprocess.run(
            [sys.executable, str(PROBE), *names],
            cwd=root,
            env={**os.environ, "AWS_MAX_ATTEMPTS": "1"},  # botocore's own name: no second try
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # without a terminal, nothing can ask for a password
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        return _read_lines(late.stdout or b""), f"gives no answer within {SECONDS:g} s"
    said = (done.stderr.strip().splitlines() or ["no reason"])[-1] if done.returncode else ""
    return _read_lines(done.stdout), said


def describe_remote(tried: Mapping[str, Any]) -> Finding:
    """What the lines of `remote_probe` about one remote, as one, mean, and what to do about it."""
    name, url = tried["name"], hide_user(str(tried.get("url", "")))
    place = f"{name} ({url})"
    if "error" in tried:
        what, next = _explain(tried["error"], name, str(tried.get("url", "")))
        return Finding("remote", "bad", f"{place} {what}", next)
    if tried["kind"] in ("http", "https"):
        text = f"{place} is read-only: nothing can be tried but a download"
        return Finding("remote", "note", text, f"dvc pull --remote {name} --allow-missing")
    if not tried["there"] and tried["kind"] not in ("s3", "gs", "azure"):
        return _describe_missing(tried, place, url)
    if tried["wanted"] and not tried["found"]:
        text = f"{place} is empty, or lacks all that was looked for, while dvc.lock names outputs"
        next = "dvc push --run-cache in the clone that has them; without it, dvc repro makes them"
        return Finding("remote", "note", text, next)
    if cut := tried.get("cut"):
        text = f"{place}: objects are not whole (a push was ended?), such as {cut[0]}"
        listed = " ".join(sorted(set(cut))[:6]) + (" ..." if len(set(cut)) > 6 else "")
        next = f"remove {listed} there, then dvc push ({GUIDE})"
        return Finding("remote", "bad", text, next)
    full = _little_room(url) if tried["kind"] == "local" else ""
    if full:
        return Finding("remote", "bad", f"{place}: {full}", f"free space there, or see {GUIDE}")
    text = f"{place} answers; {tried['found']} of {tried['wanted']} outputs looked for are there"
    if tried["found"] < tried["wanted"]:
        return Finding("remote", "note", text, "dvc push --run-cache (dvc status --cloud lists)")
    if tried.get("unfinished"):
        next = f"dvc remote modify {name} verify true: each is compared when it is fetched"
        return Finding("remote", "note", f"{text}; not all objects were compared", next)
    return Finding("remote", "ok", text)


def _describe_missing(tried: Mapping[str, Any], place: str, url: str) -> Finding:
    """A folder that is not there: a new remote where a push makes it, else an error."""
    if tried.get("makeable"):
        next = f"dvc push --run-cache makes it; if it should be a disk, mount that ({GUIDE})"
        return Finding("remote", "note", f"{place}: its folder is not there yet", next)
    make = f"create the folder of {url} on the server"
    next = f"mkdir -p {url}, or mount the disk" if tried["kind"] == "local" else make
    return Finding("remote", "bad", f"{place}: its folder is not there", f"{next} ({GUIDE})")


def hide_user(text: str) -> str:
    """Addresses without user and password; a user that stands without a password stays."""
    return re.sub(r"//[^/@\s]+:[^/@\s]*@", "//", text)


def _explain(chain: list[list[str]], name: str, url: str) -> tuple[str, str]:
    """What errors of a remote's library mean, and the next step."""
    said = "; ".join(f"{kind}: {text}" for kind, text in chain)
    scheme = url.partition("://")[0]
    if "RemoteMissingDepsError" in said or "requires" in said and "dvc[" in said:
        return "needs a library", f"pip install -c requirements/lock.txt {_plugin(scheme)}"
    if _NO_BUCKET.search(said) or (scheme == "s3" and "FileNotFoundError" in said):
        return "names no bucket that exists", f"create it, or correct: dvc remote modify {name} url"
    if _REFUSED.search(said):
        return f"refuses the key or has none: {_shorten(chain)}", _key_advice(scheme, name)
    if _DOWN.search(said):
        advice = "start the server or the network, correct the address, then montessori doctor"
        return f"cannot be reached: {_shorten(chain)}", advice
    key_file = re.search(r"No such file or directory: '(/[^']+)'", said)
    if scheme == "ssh" and key_file:
        next = f"dvc remote modify --local {name} keyfile PATH"
        return f"names a key file that is not here: {key_file[1]}", next
    if "FileNotFoundError" in said or "ResourceNotFound" in said or "NoSuchFile" in said:
        return (
            f"has no such folder: {_shorten(chain)}",
            f"create the folder above the remote's, or correct: dvc remote modify {name} url "
            f"({GUIDE})",
        )
    return f"fails: {_shorten(chain)}", f"dvc status --cloud --remote {name} --verbose ({GUIDE})"


def _plugin(scheme: str) -> str:
    return PLUGINS.get(scheme, f"dvc-{scheme}")


def _key_advice(scheme: str, name: str) -> str:
    by_scheme = {
        "s3": "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...",
        "ssh": f"ssh to the server by hand, then dvc remote modify --local {name} keyfile PATH",
    }
    either = f"dvc remote modify --local {name} user ... and password ..."
    return f"{by_scheme.get(scheme, either)} ({GUIDE})"


def _shorten(chain: Sequence[Sequence[str]]) -> str:
    """The innermost text that says something, on one line; without any, the outermost type."""
    texts = [text for _, text in chain if text.strip()] or [chain[0][0]]
    return hide_user(" ".join(texts[-1].split()))[:160]


def _little_room(folder: str) -> str:
    free = shutil.disk_usage(folder).free / GIB
    return f"{free:.1f} GiB free" if free < 1 else ""


def _read_lines(output: bytes | str) -> list[dict[str, Any]]:
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
