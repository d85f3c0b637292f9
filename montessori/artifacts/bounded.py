"""Limits of what a template may take: Jinja's sandbox keeps it from Python, not from eating time.

A loop in a loop of a hundred thousand steps each would run for hours, a text times ten thousand
million would fill the memory.
"""

import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

SECONDS = 2.0  # of processor time; a template of a hundred turns takes milliseconds
MEMORY = 1 << 30  # bytes beyond what the process has
LONGEST = 10_000_000  # characters of a rendered dialogue
#: What a template raises that cannot be compiled or rendered, besides Jinja's TemplateError.
TEMPLATE_FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    SyntaxError,
    TimeoutError,
    TypeError,
    ValueError,
)


@contextmanager
def limit_rendering(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Raise TimeoutError after `seconds` of processor time, MemoryError beyond `memory` bytes.

    After the first TimeoutError there is another one every second, so that what tries a template
    again and again ends too. Time is limited in the main thread only, memory on Linux only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGPROF, _stop)
    timer = signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        with _limit_memory(memory):
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, *timer)
        signal.signal(signal.SIGPROF, handler)


def describe_fault(error: Exception) -> str:
    """What went wrong in a template, in a line."""
    if isinstance(error, TimeoutError):
        return f"it does not end within {SECONDS:g} s of processor time"
    if isinstance(error, MemoryError):
        return "it runs out of memory"
    told = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def require_short(text: str) -> str:
    """The text of a rendered dialogue. Raises ValueError beyond LONGEST characters."""
    if len(text) > LONGEST:
        raise ValueError(f"it makes {len(text):,} characters of a short dialogue")
    return text


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeoutError


@contextmanager
def _limit_memory(memory: int) -> Iterator[None]:
    """Let the process map at most `memory` bytes more than now."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    least = _read_mapped() + memory
    if least > memory and (limits[0] == resource.RLIM_INFINITY or least < limits[0]):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (least, limits[1]))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, limits)


def _read_mapped() -> int:
    """Bytes that the process has mapped; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 0
    return pages * resource.getpagesize()
