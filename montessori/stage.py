"""What every stage script shares: command line, params, runtime record, clean ends.

Only the standard library is loaded when a stage starts, so that a stage started outside the
environment can say so in one line.
"""

import argparse
import errno
import gc
import hashlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, Literal, NoReturn, TypeVar

from montessori import lean, runtime
from montessori.errors import MontessoriError

T = TypeVar("T")
PARAMS = "params.yaml"
ONLINE = ("models", "seed")  # stages that may look for a hub
#: How idle threads of OpenMP wait: they look for work for some tens of microseconds, then sleep.
#: Sleeping at once costs a third of a small model's training on two cores; spinning on makes a
#: busy machine twenty times slower.
WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "20000"}
#: Run the full garbage collection this many times less often than that of middle-aged objects:
#: torch, transformers and trl leave half a million long-lived objects, and collecting over them
#: again and again takes a quarter of the start-up time.
OLDEST = 1000
AT_ONCE = 1.0  # seconds
CODE = Path("data/code")  # where stage `code` lists which files a stage may load


@dataclass(frozen=True)
class Machine:
    """How this machine is used; never tracked, and never changes what is made beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0  # CPU threads of a stage; 0 = all cores
    generation_batch: int = 64  # rows decoded at once by engine transformers
    tensor_parallel: int = 1  # GPUs that share a model in engine vllm
    gpu_memory: float = 0.9  # share of GPU memory that engine vllm takes
    server: str = ""  # address of an OpenAI-compatible server, for engine openai
    server_key_env: str = ""  # environment variable with its key; empty = it needs none
    server_requests: int = 64  # requests in flight, also to hosted teachers
    server_retries: int = 6  # tries after the first, before a stage gives up
    max_usd: float = 0.0  # a stage stops before it has spent more; 0 = no limit
    max_tokens: int = 0  # likewise in tokens of prompts and answers; 0 = no limit
    influence_batch: int = 0  # rows of a shared backward pass; 0 = by their and the model's size
    compile: bool = False  # influence: one kernel for the reduction, by torch.compile
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"  # auto: on a GPU
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

    def check(self) -> list[str]:
        """Problems of the values, each starting with its key."""
        at_least_one = ("generation_batch", "tensor_parallel", "server_requests")
        at_least_zero = ("threads", "influence_batch", "server_retries", "max_usd", "max_tokens")
        least = dict.fromkeys(at_least_one, 1) | dict.fromkeys(at_least_zero, 0)
        problems = [
            f"{key}: {getattr(self, key)} is below {bound}"
            for key, bound in least.items()
            if getattr(self, key) < bound
        ]
        if not 0 < self.gpu_memory <= 1:
            problems.append(f"gpu_memory: {self.gpu_memory} is not in (0, 1]")
        return problems + self._server_problems()

    def _server_problems(self) -> list[str]:
        from montessori.generate.address import url_problems, variable_problems

        problems = variable_problems("server_key_env", self.server_key_env)
        return problems + (url_problems("server", self.server) if self.server else [])


class Job:
    """One run of a stage: its name, its paths, its params.

    `name` is the row's key (option --name), `kind` the stage's name in dvc.yaml ("probe",
    "teacher-dpo"), `paths.<option>` a Path for each path option, `work` the git-ignored folder
    for resumable parts, `shard` the text of --shard where the stage has it.
    """

    def __init__(
        self, name: str, kind: str, paths: dict[str, Path], shard: str | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.paths = SimpleNamespace(**paths)
        self.shard = shard
        self.work = Path(".work") / kind

    @cached_property
    def _raw(self) -> dict[str, Any]:
        from montessori.params import load

        return load(PARAMS)

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
        from montessori.params import section

        return section(self._raw, "machine", Machine) if Path(PARAMS).is_file() else Machine()

    def section(self, name: str, cls: type[T], rows: str = "") -> T:
        """A section of params.yaml as a frozen dataclass; all its problems in one error.

        With `rows`, a plural section, what the job's row there says under the same name goes first.
        """
        from montessori.params import for_row, section

        return section(for_row(self._raw, name, rows, self.name), name, cls)

    def row(self, section: str, cls: type[T]) -> T:
        """The job's row of a plural section as a frozen dataclass; all its problems in one error.

        For what a row says beside paths, which are on the command line.
        """
        from montessori.params import section as read

        rows = self._raw.get(section, {})
        key = f"{section}.{self.name}"
        return read({key: rows[self.name]} if self.name in rows else {}, key, cls)

    @staticmethod
    def secret(name: str) -> str | None:
        """The value of an environment variable that holds a key; it is written nowhere."""
        return os.environ.get(name)

    def metrics(self, values: dict[str, Any]) -> None:
        """Write the stage's metrics, atomically, to the path of --metrics."""
        from montessori.artifacts import write_json

        write_json(self.paths.metrics, values)


def run(body: Callable[[Job], None], *paths: str, shards: bool = False) -> None:
    """Parse `--name` and one option per path, run `body(job)`, and record its runtime.

    With `shards` there is an option --shard, for a stage whose parts several processes may fill.

    Started by DVC, a stage ends at once where its code has changed since stage `code` listed it.
    A MontessoriError ends the process with its text and status 2, a missing library with one line
    and status 2, SIGTERM and SIGINT with 128 + the signal after clean-up.
    """
    job = _parse(body, paths, shards)
    gc.set_threshold(*gc.get_threshold()[:2], OLDEST)
    _set_environment(job.kind)
    lean.install()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    started, finished = time.monotonic(), False
    try:
        logging.basicConfig(level=job.machine.log_level.upper(), format="%(name)s: %(message)s")
        if "DVC_STAGE" in os.environ:
            _require_listed_code(CODE / job.kind)
        body(job)
        if job.shard is None:
            runtime.record(job.kind, job.name, time.monotonic() - started, _devices(job))
            finished = True
    except MontessoriError as error:
        _end(f"{job.kind} {job.name}: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _end(
            f"{job.kind} {job.name}: no space left on the disk; nothing half-written stays, "
            "finished parts do\nnext: free some (dvc gc --workspace, df -h .), then dvc repro"
        )
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library in ("montessori", "stages"):
            raise
        _end(
            f"{job.kind}: library {library!r} not found; run `make repro`, or activate the "
            "environment first"
        )
    finally:
        if not finished:
            _keep_time(job, time.monotonic() - started)
        gc.freeze()  # or Python looks through all objects once more as it ends: over a second


def _devices(job: Job) -> int:
    return runtime.devices_used(job.machine.device, job.machine.tensor_parallel)


def _keep_time(job: Job, seconds: float) -> None:
    """Count an unfinished start into the next one, unless it failed at once and did no work.

    What ended it is being said, so trouble with this is not.
    """
    if seconds >= AT_ONCE:
        with suppress(OSError, MontessoriError):
            runtime.keep(job.kind, job.name, seconds, _devices(job))


def _require_listed_code(listed: Path) -> None:
    """Raise MontessoriError when code differs from the list that DVC will record it under.

    A file that was edited after stage `code` ran would make an output that counts as the old
    code's, in dvc.lock and in the run cache.
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


def _set_environment(kind: str) -> None:
    """Settings that libraries read when they are imported; what the user has set stays.

    Only `models` and `seed` may look for a hub.
    """
    wanted = {**WAITING, "TOKENIZERS_PARALLELISM": "false"}
    if kind not in ONLINE:
        wanted |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def _parse(body: Callable[[Job], None], paths: tuple[str, ...], shards: bool) -> Job:
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


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through the stack, so that temporary outputs are removed."""
    raise SystemExit(128 + number)


def _end(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(2)
