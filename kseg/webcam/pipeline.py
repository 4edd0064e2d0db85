"""Grab, infer and draw side by side: each in its own thread, the newest frame always first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kseg.webcam.capture import Capture, Frame
from kseg.webcam.timing import Timings


@dataclass(frozen=True)
class Result:
    """A frame and what the model gave for it."""

    frame: Frame
    output: np.ndarray


class Pipeline:
    """Runs a model on the frames of a capture in a thread.

    `take` gives results in order. Of live sources the newest result replaces one that was not taken in time;
    other sources wait, so that every frame comes out. An exception in the model is raised by `take`.

    Args:
        capture: a started `Capture`.
        model: called with a BGR frame; what remains to be done with its output is for the taker, meanwhile.
        timings: gets "grab" and "infer".
    """

    def __init__(
        self,
        capture: Capture,
        model: Callable[[np.ndarray], np.ndarray],
        timings: Timings,
    ) -> None:
        self.capture, self.model, self.timings = capture, model, timings
        self._changed = threading.Condition()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._stopped, self._finished = False, False
        self._thread = threading.Thread(target=self._run, daemon=True, name="infer")

    def start(self) -> None:
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether the source ended and every result was taken."""
        with self._changed:
            return self._finished and self._result is None

    def take(self, timeout: float = 0.05) -> Result | None:
        """The newest result, waited for; None where none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._result is not None or self._finished, timeout)
            if self._error is not None:
                raise self._error
            result, self._result = self._result, None
            self._changed.notify_all()
        return result

    def stop(self) -> None:
        """End both threads; waits a moment for the model."""
        self._stopped = True
        self.capture.stop()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        before: Result | None = None
        try:
            while not self._stopped:
                frame = self.capture.take()
                if frame is None:
                    if self.capture.ended:
                        break
                    continue
                if before is not None and before.frame.image is frame.image:  # held for its time in a file
                    result = Result(frame, before.output)
                else:
                    self.timings.add("grab", frame.seconds)
                    start = time.perf_counter()
                    result = before = Result(frame, self.model(frame.image))
                    self.timings.add("infer", time.perf_counter() - start)
                with self._changed:
                    while self.capture.waits and self._result is not None and not self._stopped:
                        self._changed.wait(0.5)
                    self._result = result
                    self._changed.notify_all()
        except BaseException as error:  # raised where results are taken
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()
