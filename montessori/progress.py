"""One progress line: how far, how fast, how much longer.

Not by rich: where there is no terminal, as in the log of an experiment, it writes the last state
alone, and a stage of hours should write a line every few seconds.
"""

import sys
import time
from typing import TextIO

PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal
TERMINAL_EVERY = 0.1
AT_ONCE = 0.01  # of the time of the first step


class Progress:
    """Counts units of work towards `total` and writes the line to a stream (standard error).

    The rate ignores the first step, which pays for loading and compiling. As a context manager it
    ends the line on an error too.
    """

    def __init__(self, total: int, unit: str, label: str, stream: TextIO | None = None) -> None:
        self.total, self.unit, self.label = total, unit, label
        self.stream = stream or sys.stderr
        self.count = 0
        self._begun = self._shown = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._open = False
        self._suffix = ""

    def advance(self, n: int = 1, **facts: object) -> None:
        """Count `n` more units; `facts` (loss=..., kept=...) are shown at the end of the line."""
        now = time.monotonic()
        self.count += n
        self._suffix = "".join(f", {name} {_short_text(value)}" for name, value in facts.items())
        if self._first is None:
            self._first = (now, self.count)
        terminal = self.stream.isatty()
        done = self.count >= self.total
        if done or now - self._shown >= (TERMINAL_EVERY if terminal else PLAIN_EVERY):
            self._write_line(now, terminal)
        if done:
            self.close()

    def close(self) -> None:
        """End the line on a terminal."""
        if self._open:
            self.stream.write("\n")
            self.stream.flush()
            self._open = False

    def format_line(self, now: float) -> str:
        """The text at time `now` (seconds of the monotonic clock)."""
        text = f"{self.label}: {self.count}/{self.total} {self.unit}"
        start, first = self._find_start(now)
        if now > start and self.count > first:
            rate = (self.count - first) / (now - start)
            left = max(0, self.total - self.count) / rate
            text += f", {rate:.3g} {self.unit}/s, {_clock_text(left)} left"
        return text + self._suffix

    def _find_start(self, now: float) -> tuple[float, int]:
        """From when on, and from which count, the rate is taken."""
        if self._first is None:
            return now, self.count
        # The first steps of two workers end at almost the same time, which gives no rate.
        together = 0 < now - self._first[0] < AT_ONCE * (self._first[0] - self._begun)
        return (self._begun, 0) if together else self._first

    def _write_line(self, now: float, terminal: bool) -> None:
        self._shown = now
        text = self.format_line(now)
        self.stream.write(f"\r\x1b[K{text}" if terminal else f"{text}\n")
        self.stream.flush()
        self._open = terminal

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def track_progress(total: int, unit: str, label: str) -> Progress:
    """A progress line over `total` units, such as track(250, "prompts", "probe montessori-1")."""
    return Progress(total, unit, label)


def _short_text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
