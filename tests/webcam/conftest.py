"""A fake camera that does what real ones do wrong, and a model that needs no time."""

import threading
import time

import numpy as np
import pytest


class FakeCamera:
    """Follows a script: an array is a frame, None a failed read, an exception is raised, a number sleeps.

    After the script it gives grey frames of ``size`` at 100 a second. ``plugged`` False: it does not open.
    """

    live, fps = True, 100.0

    def __init__(self, script=(), size=(48, 64)):
        self.script, self.size = list(script), size
        self.plugged, self.broken, self.opened, self.opens = True, False, True, 0
        self.released = threading.Event()

    def __call__(self):
        """Open: this object is its own opener."""
        self.opens += 1
        self.opened = self.plugged
        return self

    def read(self):
        time.sleep(0.01)
        step = self.script.pop(0) if self.script else None
        while isinstance(step, int | float):
            time.sleep(step)
            step = self.script.pop(0) if self.script else None
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str) or not self.plugged or self.broken:
            return None
        return step if step is not None else np.full((*self.size, 3), 120, np.uint8)

    def release(self):
        self.released.set()


class Bright:
    """A model: class 1 where a frame is bright."""

    classes, palette, size = ("background", "bright"), ((0, 0, 0), (255, 0, 0)), (24, 32)

    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def scores(self, frame):
        time.sleep(self.seconds)
        bright = (frame[::2, ::2, 1] > 128).astype(np.float32)
        return np.stack([1 - bright, bright], -1)

    def probabilities(self, scores):
        return scores


@pytest.fixture
def camera():
    return FakeCamera


@pytest.fixture
def bright():
    return Bright


@pytest.fixture
def until():
    """Wait for a condition, at most some seconds."""

    def wait(condition, seconds=5.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.01)
        return bool(condition())

    return wait


class Film:
    """A file of frames 1 to ``count``, as values."""

    live = False

    def __init__(self, count=200, fps=100.0):
        self.fps, self.count, self.number = fps, count, 0

    def read(self):
        self.number += 1
        return np.full((8, 8, 3), self.number, np.uint8) if self.number <= self.count else None

    def release(self):
        pass


@pytest.fixture
def film():
    return Film
