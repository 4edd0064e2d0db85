"""What verbs say on the terminal besides their result: a progress bar, and commands to try next."""

import contextlib
import shlex
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TextIO


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


@contextlib.contextmanager
def printed_warnings(
    bar: "Bar", where: "Callable[[], str]" = str, action: Literal["always", "default"] = "always"
) -> Iterator[None]:
    """Print kseg's own warnings as mistakes are printed: one line each, led by ``where()``, such as a file's name.

    ``action`` is a filter of Python's ``warnings``: ``default`` prints a sentence once.
    """
    from kseg.errors import KsegWarning

    with warnings.catch_warnings():
        warnings.simplefilter(action, KsegWarning)
        others = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if issubclass(category, KsegWarning):
                bar.say(f"kseg: {where()}{' '.join(str(message).split())}")
            else:
                others(message, category, *rest)

        warnings.showwarning = tell
        yield


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """A request to end (SIGTERM) ends the work as Ctrl-C does, so that files are closed or taken away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Bar:
    """A progress bar: ``bar(done, total)`` redraws it; ``with`` ends its line. Silent off a terminal.

    ``done`` may have a fraction, for a part of what is counted; ``say`` writes a line above the bar.

    Args:
        label: what is being counted.
        stream: where to draw, stderr by default.
    """

    WIDTH = 24

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label, self.stream = label, stream or sys.stderr
        self.live = self.stream.isatty()
        self.start, self.drawn = time.monotonic(), 0.0
        self.done = 0

    def __call__(self, done: float, total: int) -> None:
        self.done = int(done)
        now = time.monotonic()
        if not self.live or (done < total and now - self.drawn < 0.1):
            return
        self.drawn = now
        filled = "#" * int(self.WIDTH * done / max(total, 1))
        left = (now - self.start) / (done or 1) * (total - done)
        text = f"{self.label} [{filled:<{self.WIDTH}}] {self.done}/{total}, {minutes(left)} left"
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()

    def say(self, text: str) -> None:
        """Write a line; the bar is drawn again below it."""
        self.stream.write(("\r\x1b[K" if self.live and self.drawn else "") + text + "\n")
        self.stream.flush()
        self.drawn = 0.0

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            self.stream.write("\n")
            self.stream.flush()
