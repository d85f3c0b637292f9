"""Run cases: each in a folder of its own, with links to the project's code and its own params."""

import os
import shutil
import signal
import stat
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

from montessori.errors import MontessoriError
from tools.campaign.case import EVALS, Case, call_seed
from tools.campaign.child import TIMED_OUT, import_project, run_command
from tools.campaign.judging import Result, Traces, judge_end, judge_traces

LIMIT = 60  # seconds of processor time of one command
SHOWN = 3000  # characters of a message that are kept
CODE_RAN = "pwned"  # the file that code of an input would write
UNFINISHED = (".partial", ".trial", ".old")


@dataclass(frozen=True)
class Place:
    """The project, the folder of all cases, and how commands run."""

    project: Path
    top: Path
    real: bool = False
    seconds: float = LIMIT


def run_cases(cases: Sequence[Case], place: Place, jobs: int) -> Iterator[Result]:
    """The results of cases, in their order; `jobs` run at once."""
    import_project()
    make_base(place)
    # forked, so that every process has the imports; all are there before a thread is started
    with ProcessPoolExecutor(jobs, get_context("fork"), _keep, (cases,)) as pool:
        yield from pool.map(partial(_run_numbered, place), range(len(cases)))


_CASES: list[Case] = []  # of a process of the pool: cases hold functions, which no pipe carries


def _keep(cases: Sequence[Case]) -> None:
    _CASES[:] = cases


def _run_numbered(place: Place, number: int) -> Result:
    return run_case(_CASES[number], place, number)


def make_base(place: Place) -> None:
    """Make what every case finds: the eval items of stage `seed`."""
    base = place.top / "base"
    lay_out(place.project, base)
    (base / "evals.json").write_text(EVALS, encoding="utf-8")
    log = place.top / "base.log"
    status = run_command(call_seed(), base, log, 10 * place.seconds, real=place.real)
    if status != 0:
        raise MontessoriError("stage seed fails without bad input", where=log.read_text()[-SHOWN:])


def lay_out(project: Path, root: Path) -> None:
    """A folder in which the project's commands run: its code as links, params.yaml as a copy."""
    (root / "data").mkdir(parents=True)
    for name in ("stages", "montessori", "profiles", "dvc.yaml", "data/micro"):
        (root / name).symlink_to(project / name)
    shutil.copy(project / "params.yaml", root / "params.yaml")


def run_case(case: Case, place: Place, number: int = 0) -> Result:
    """Write a case's files, run its commands, and judge how they end."""
    if case.check and not place.real:
        status, text = _call_check(case, place.seconds)
        return _make_result(case, status, text, Traces())
    root = place.top / f"{number:05d}"
    lay_out(place.project, root)
    (root / "data" / "seed").mkdir()
    (root / "data" / "seed" / "evals").symlink_to(place.top / "base" / "o" / "evals")
    case.write(root)
    before, params = list_names(root), _read_params(root)
    log = place.top / f"{number:05d}.log"
    status = _run_commands(case, place, root, log)
    text = log.read_text(encoding="utf-8", errors="replace")
    traces = _find_traces(case, root, before, params)
    _remove(root)
    log.unlink()
    return _make_result(case, status, text, traces)


def _run_commands(case: Case, place: Place, root: Path, log: Path) -> int:
    status = 0
    for command in case.commands:
        how = {"real": place.real, "unprivileged": case.unprivileged}
        status = run_command(command, root, log, place.seconds, **how)
        if status != 0:
            break
    return status


def _make_result(case: Case, status: int, text: str, traces: Traces) -> Result:
    verdict = judge_end(case.want, case.where, status, text)
    verdict = judge_traces(verdict, status, traces)
    shown = text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}\n...\n{text[-SHOWN // 2 :]}"
    return Result(case.kind, case.name, case.want, status, verdict.word, verdict.notes, shown)


def _call_check(case: Case, seconds: float) -> tuple[int, str]:
    """The status and the message that a command around the case's check would have."""
    assert case.check is not None
    try:
        with _end_after(seconds):
            case.check()
    except MontessoriError as error:
        return 2, str(error)
    except TimeoutError:
        return TIMED_OUT, ""
    except Exception:  # noqa: BLE001 - any other error is a crash, and shown as one
        return 1, traceback.format_exc()
    return 0, ""


@contextmanager
def _end_after(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def list_names(root: Path) -> set[str]:
    """Files and folders below a folder, links not followed."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        found |= {str(here / name) for name in (*folders, *files)}
    return found


def _find_traces(case: Case, root: Path, before: set[str], params: bytes) -> Traces:
    new = list_names(root) - before
    left = {name for name in new if name in case.outputs}
    left |= {name for name in new if any(mark in name for mark in UNFINISHED)}
    ran = any(Path(name).name == CODE_RAN for name in new)
    return Traces(tuple(sorted(left)), _read_params(root) != params, ran)


def _read_params(root: Path) -> bytes:
    try:
        return (root / "params.yaml").read_bytes()
    except OSError as error:
        return str(error.errno).encode()


def _remove(root: Path) -> None:
    """Remove a case's folder, whatever the modes in it."""
    for folder, _, _ in os.walk(root):
        with suppress(OSError):
            os.chmod(folder, stat.S_IRWXU)
    shutil.rmtree(root, ignore_errors=True)
