"""How a stage script runs: command line, params, runtime record, readable errors.

When a stage starts, only the standard library is imported, so that a stage started outside the
environment can say so in one line.
"""

import argparse
import gc
import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NoReturn, TypeVar

from montessori.artifacts.atomic import sweep_partial
from montessori.errors import EscapingFormatter, MontessoriError, escape_controls
from montessori.pipeline import runtime, startup
from montessori.pipeline.machine import Machine
from montessori.pipeline.one_process import hold_stage
from montessori.pipeline.system_errors import explain_system_error

T = TypeVar("T")
PARAMS = "params.yaml"
AT_ONCE = 1.0  # seconds; a start that fails sooner has done no work
CODE = Path("data/code")  # where stage `code` lists which files a stage may load


class Job:
    """One run of a stage: its name, its paths, its params.

    `name` is the row's key (option --name), `kind` the stage's name in dvc.yaml ("probe",
    "teacher-dpo"), `paths.<option>` a Path for each path option, `work` the git-ignored folder
    for resumable parts, `shard` the text of --shard if the stage has that option.
    """

    def __init__(
        self, name: str, kind: str, paths: dict[str, Path], shard: str | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.paths = SimpleNamespace(**paths)
        self.shard = shard
        self.work = Path(".work") / kind

    @property
    def stage(self) -> str:
        """The stage's name in dvc.yaml, and which shard of it: `influence@montessori-1 2 of 3`."""
        own = self.kind if self.name == self.kind else f"{self.kind}@{self.name}"
        return own if self.shard is None else f"{own} {self.shard.replace('/', ' of ')}"

    @cached_property
    def _raw(self) -> dict[str, Any]:
        from montessori.graph.load import read_yaml

        return read_yaml(PARAMS)

    @property
    def seed(self) -> int:
        """The top-level `seed` of params.yaml. Raises MontessoriError if it is no whole number."""
        seed = self._raw.get("seed")
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise MontessoriError(
                f"seed: {seed!r} is not a whole number", where=PARAMS, next="montessori check"
            )
        return seed

    @cached_property
    def machine(self) -> Machine:
        """The section `machine`; defaults where there is no params.yaml."""
        from montessori.graph.load import require_section

        return (
            require_section(self._raw, "machine", Machine) if Path(PARAMS).is_file() else Machine()
        )

    def section(self, name: str, cls: type[T], rows: str | tuple[str, ...] = "") -> T:
        """A section of params.yaml as a frozen dataclass; all its problems in one error.

        With `rows`, a plural section, the values that the job's row there has under the same name
        take precedence. A script of several stages gives the section of each; their rows have
        different names.
        """
        from montessori.graph.load import apply_row_changes, require_section

        return require_section(apply_row_changes(self._raw, name, rows, self.name), name, cls)

    def row(self, section: str, cls: type[T]) -> T:
        """The job's row of a plural section as a frozen dataclass; all its problems in one error.

        For values of a row that are not paths: paths are on the command line.
        """
        from montessori.graph.load import require_section

        rows = self._raw.get(section, {})
        key = f"{section}.{self.name}"
        return require_section({key: rows[self.name]} if self.name in rows else {}, key, cls)

    @staticmethod
    def secret(name: str) -> str | None:
        """The value of an environment variable that holds a key; no stage may write it."""
        return os.environ.get(name)

    def metrics(self, values: dict[str, Any]) -> None:
        """Write the stage's metrics, atomically, to the path of --metrics."""
        from montessori.artifacts.files import write_json

        write_json(self.paths.metrics, values)


def run(body: Callable[[Job], None], *paths: str, shards: bool = False) -> None:
    """Parse `--name` and one option per path, run `body(job)`, and record its runtime.

    `shards` adds the option --shard, for a stage whose parts several processes may share.

    Under DVC a stage stops at once if its code has changed since stage `code` listed it, or if an
    input is not what dvc.lock says. A MontessoriError ends the process with its text and status 2,
    a missing library with one line and status 2, SIGTERM and SIGINT with status 128 + signal after
    clean-up.
    """
    job = _parse_arguments(body, paths, shards)
    _prepare_process(job.kind)
    try:
        with _readable_errors(job), hold_stage(job.stage):
            _run_body(body, job)
    finally:
        # or Python looks through all objects once more as it ends, which takes over a second
        gc.freeze()


def _run_body(body: Callable[[Job], None], job: Job) -> None:
    """Run `body`, and record its time, also where it does not come to its end."""
    started, finished = time.monotonic(), False
    try:
        sweep_partial(vars(job.paths).values())
        _begin_log(job.machine.log_level)
        if "DVC_STAGE" in os.environ:
            _require_listed_code(CODE / job.kind)
            _require_recorded_inputs(job, os.environ["DVC_STAGE"])
        body(job)
        if job.shard is None:
            seconds = time.monotonic() - started
            runtime.record_run(job.kind, job.name, seconds, _count_devices(job))
            finished = True
    finally:
        if not finished:
            _keep_time(job, time.monotonic() - started)


def _begin_log(level: str) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _prepare_process(kind: str) -> None:
    """What must be set before anything large is imported."""
    gc.set_threshold(*gc.get_threshold()[:2], startup.OLDEST)
    startup.set_environment(kind)
    startup.hide_unused_libraries()
    signal.signal(signal.SIGTERM, _leave_on_signal)
    signal.signal(signal.SIGINT, _leave_on_signal)


@contextmanager
def _readable_errors(job: Job) -> Iterator[None]:
    """End the process with a text, instead of a traceback, for what the user can solve."""
    try:
        yield
    except MontessoriError as error:
        _exit_with(f"{job.kind} {job.name}: {error}")
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library in ("montessori", "stages"):
            raise
        _exit_with(
            f"{job.kind}: library {library!r} not found; run `make repro`, or activate the "
            "environment first"
        )
    except Exception as error:
        explained = explain_system_error(error)
        if explained is None:
            raise
        _exit_with(f"{job.kind} {job.name}: {explained}")


def _count_devices(job: Job) -> int:
    return runtime.devices_used(job.machine.device, job.machine.tensor_parallel)


def _keep_time(job: Job, seconds: float) -> None:
    """Keep the time of an unfinished start for the next one, unless it failed at once."""
    if seconds >= AT_ONCE:
        # the error that ended the stage matters more than one of keeping its time
        with suppress(OSError, MontessoriError):
            runtime.keep_unfinished(job.kind, job.name, seconds, _count_devices(job))


def _require_listed_code(listed: Path) -> None:
    """Raise MontessoriError when a file of the stage differs from the list of its code.

    DVC records the output under that list. If a file was edited after stage `code` ran, the output
    would count as the old code's, in dvc.lock and in the run cache.
    """
    if not listed.is_file():
        return
    for line in listed.read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        file = Path(path)
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise MontessoriError(
                "code has changed since stage `code` listed it",
                where=path,
                expected=f"what {listed} says, or the result would count as the old code's",
                next="dvc repro (what is finished stays)",
            )


def _require_recorded_inputs(job: Job, stage: str) -> None:
    """Raise MontessoriError where an input is not what dvc.lock says another stage made."""
    from montessori.pipeline.inputs import require_recorded_inputs

    require_recorded_inputs(vars(job.paths).values(), stage)


def _parse_arguments(body: Callable[[Job], None], paths: tuple[str, ...], shards: bool) -> Job:
    kind = Path(body.__code__.co_filename).stem.replace("_", "-")
    parser = argparse.ArgumentParser(prog=f"stages.{kind}", description=body.__doc__)
    parser.add_argument("--name", required=True, help="key of the row in params.yaml")
    for path in paths:
        parser.add_argument("--" + path.replace("_", "-"), required=True, type=Path)
    if shards:
        parser.add_argument(
            "--shard", metavar="I/N", help="only fill the parts of the I-th of N processes"
        )
    values = vars(parser.parse_args())
    return Job(values.pop("name"), kind, shard=values.pop("shard", None), paths=values)


def _leave_on_signal(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through the stack, so that temporary outputs are removed."""
    raise SystemExit(128 + number)


def _exit_with(text: str) -> NoReturn:
    sys.stderr.write(escape_controls(text) + "\n")
    raise SystemExit(2)
