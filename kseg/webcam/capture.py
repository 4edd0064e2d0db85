"""Reading a source in a thread of its own: the newest frame, however the camera behaves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kseg.webcam.source import Source

STALL = 1.0  # seconds without a frame after which it is reported
ABANDON = 5.0  # seconds in one read after which another is begun beside it
OPENING = 30.0  # the same of opening, which takes streams and some cameras many seconds
LATE = 0.2  # seconds that a file may be behind its time and still catch up
BLACK = 3.0  # of 255: a frame darker than that on average shows nothing
RETRY = (0.1, 0.2, 0.4, 0.8)  # seconds between attempts to open again; the last goes on


@dataclass(frozen=True)
class Frame:
    """A frame of a source.

    Attributes:
        image: uint8 BGR `(height, width, 3)`.
        number: counted from 1.
        time: when it was read, in the seconds of the capture's clock.
        seconds: how long reading it took.

    Example:

    >>> from kseg.webcam import Frame
    >>> Frame(np.zeros((480, 640, 3), np.uint8), number=1, time=12.5, seconds=0.004).image.shape
    (480, 640, 3)
    """

    image: np.ndarray
    number: int
    time: float
    seconds: float


class Capture:
    """Keeps the newest frame of a source, and the source alive.

    A live source that gives no frame, raises, or hangs is opened again, at first after a tenth of a second and
    at most 0.8 s apart; `message` says so meanwhile. A read that does not return within five seconds is left
    behind in its thread and a new one begun. A source that is not live ends; with `newest` it keeps to its frames
    a second, else it waits until each frame was taken, so that none is lost. While `held` it waits in any case.
    `reopened` counts openings after the first, `damaged` the frames that sources passed over, for the reasons in
    `faults`. `early` says, after the end of a source that is not live, why it ended before its end.

    Args:
        opener: opens the source, as `kseg.webcam.opener` makes it.
        newest: keep the newest frame only; False waits until each frame was taken.
        clock: gives monotonic seconds.
        stall: seconds without a frame after which `message` says so.
        abandon: seconds after which a read that hangs is left behind.
        opening: the same of opening, which takes streams and some cameras many seconds.

    Example:

    >>> from kseg.webcam import Capture, opener
    >>> capture = Capture(opener("synthetic"))
    >>> capture.start()
    >>> capture.take(timeout=10).image.shape
    (480, 640, 3)
    >>> capture.stop()
    """

    def __init__(
        self,
        opener: Callable[[], Source],
        newest: bool = True,
        clock: Callable[[], float] = time.monotonic,
        stall: float = STALL,
        abandon: float = ABANDON,
        opening: float = OPENING,
    ) -> None:
        self._opener, self.newest, self._clock = opener, newest, clock
        self._stall, self._abandon, self._opening, self._patience = stall, abandon, opening, opening
        self.held, self._live = False, True
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._generation, self._number, self.reopened, self.damaged = 0, 0, 0, 0
        self._fault, self.ended, self._stopped = "", False, False
        self.early, self.faults = "", []
        self._last = self._reading_since = clock()
        self.fps: float = 30.0

    def start(self) -> None:
        """Begin to read, in a new thread; one that hangs is left behind."""
        self._generation += 1
        self._reading_since = self._clock()
        name = f"capture {self._generation}"
        threading.Thread(target=self._run, args=(self._generation,), daemon=True, name=name).start()

    def take(self, timeout: float = 0.2) -> Frame | None:
        """The newest frame that was not yet taken, waited for.

        Args:
            timeout: seconds to wait for it.

        Returns:
            A `Frame`; None where none comes in time, or the source has ended.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self.ended, timeout)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            hangs = self._clock() - self._reading_since > self._patience
            # A file would begin again; there is nothing to do but to wait for it.
            if frame is None and hangs and self._live and not self.ended and not self._stopped:
                self.reopened += 1
                self.start()
        return frame

    @property
    def live(self) -> bool:
        """Whether the source goes on by itself; so it is taken to be before it is open."""
        return self._live

    @property
    def waits(self) -> bool:
        """Whether frames wait until the one before was taken."""
        return not self.newest or (self.held and not self._live)

    @property
    def age(self) -> float:
        """Seconds since the last frame, or since the start."""
        return self._clock() - self._last

    @property
    def fault(self) -> str:
        """What was last wrong with the source, also after its end; empty where nothing was."""
        return self._fault

    @property
    def message(self) -> str:
        """What is wrong with the source, for the screen; empty where nothing is."""
        age = self.age
        if self.ended or self._stopped:
            return ""
        if self._fault:
            return self._fault
        stall = self._stall if self._live else max(self._stall, 2 / self.fps)
        if age <= stall or self.held:
            return ""
        return f"no frame for {age:.0f} s" if self._number else "waiting for the first frame"

    def stop(self) -> None:
        """End reading; a hanging read is left to its thread."""
        with self._changed:
            self._stopped, self._generation = True, self._generation + 1
            self._changed.notify_all()

    def _current(self, generation: int) -> bool:
        return generation == self._generation and not self._stopped

    def _run(self, generation: int) -> None:
        """Open the source and read it, as often as it takes, until it ends or another thread is begun."""
        attempt = 0
        while self._current(generation):
            live, got = True, 0
            self._reading_since, self._patience = self._clock(), self._opening
            try:
                source = self._opener()
            except Exception as error:  # a driver's own kinds; the camera may come back
                self._say(generation, f"the source cannot be opened: {_first_line(error)}")
            else:
                if getattr(source, "opened", True):
                    live, self.fps, self._live = source.live, source.fps, source.live
                    got = self._read_all(source, generation)
                else:
                    self._say(generation, "the camera is gone; waiting for it")
                with contextlib.suppress(Exception):  # it is gone either way
                    source.release()
            if not live:
                with self._changed:
                    if self._current(generation):
                        self.ended = True
                        self._changed.notify_all()
                return
            attempt = 0 if got else attempt + 1
            if self._current(generation):
                self.reopened += 1
                self._wait(RETRY[min(attempt, len(RETRY) - 1)], generation)

    def _read_all(self, source: Source, generation: int) -> int:
        """Read until the source fails or ends; gives the number of frames."""
        count, due, damaged = 0, self._clock(), self.damaged
        while self._current(generation):
            if self.newest and not source.live:
                self._wait(due - self._clock(), generation)
                # What was late, by being held above all, is not made up for.
                due = max(due + 1 / source.fps, self._clock() - LATE)
            self._patience = self._abandon
            start = self._reading_since = self._clock()
            try:
                image = source.read()
            except Exception as error:
                self._say(generation, f"reading failed: {_first_line(error)}")
                self.early = "" if source.live else self._fault
                return count
            self.damaged = damaged + getattr(source, "damaged", 0)
            self.faults = getattr(source, "faults", [])
            if image is None or image.shape[2:] != (3,) or image.dtype != np.uint8 or not image.size:
                if source.live:
                    self._say(generation, "the camera gives no image; opening it again")
                else:
                    self.early = getattr(source, "early", "") if image is None else "a frame that is not an image"
                return count
            now = self._clock()
            self._put(image, now, now - start, generation)
            count += 1
        return count

    def _put(self, image: np.ndarray, now: float, seconds: float, generation: int) -> None:
        with self._changed:
            while self.waits and self._frame is not None and self._current(generation):
                self._last = self._reading_since = self._clock()  # it is the taker that is slow
                self._changed.wait(0.5)
            if not self._current(generation):
                return
            self._number += 1
            self._frame = Frame(image, self._number, now, seconds)
            self._last = self._reading_since = self._clock()
            dark = self._live and image[::16, ::16].mean() < BLACK
            self._fault = "the image is black: is the lens covered?" if dark else ""
            self._changed.notify_all()

    def _say(self, generation: int, fault: str) -> None:
        if self._current(generation):
            self._fault = fault

    def _wait(self, seconds: float, generation: int) -> None:
        with self._changed:
            self._reading_since = self._clock()
            self._changed.wait_for(lambda: not self._current(generation), seconds)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
