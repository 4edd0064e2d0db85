"""What verbs say on the terminal besides their result: a progress bar, and commands to try next."""

import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TextIO


def invocation() -> str:
    """How this program was called, for a shell, so that a printed command works when it is pasted."""
    program = Path(sys.argv[0])
    if program.stem != "kseg":
        return f"{shlex.quote(sys.executable)} -m kseg"
    on_path = shutil.which(program.name)
    known = on_path is not None and Path(on_path).resolve() == program.resolve()
    return program.name if known else shlex.quote(str(program))


def minutes(seconds: float) -> str:
    """A duration for a reader: ``42 s`` or ``3 min 05 s``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


class Bar:
    """A progress bar: ``bar(done, total)`` redraws it; ``with`` ends its line. Silent off a terminal.

    Args:
        label: what is being counted.
        stream: where to draw, stderr by default.
    """

    WIDTH = 24

    def __init__(self, label: str, stream: TextIO | None = None):
        self.label, self.stream = label, stream or sys.stderr
        self.live = self.stream.isatty()
        self.start, self.drawn = time.monotonic(), 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.live or (done < total and now - self.drawn < 0.1):
            return
        self.drawn = now
        filled = "#" * (self.WIDTH * done // max(total, 1))
        left = (now - self.start) / max(done, 1) * (total - done)
        text = f"{self.label} [{filled:<{self.WIDTH}}] {done}/{total}, {minutes(left)} left"
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_) -> None:
        if self.drawn:
            self.stream.write("\n")
            self.stream.flush()
