"""Where frames come from: a camera, a video file, a folder of images, a stream, or a synthetic scene."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from kseg.errors import DataError
from kseg.io.images import SUFFIXES, read_image
from kseg.io.video import VideoFrame, VideoReader, quiet
from kseg.webcam.source_name import STREAM, check_source

SYNTHETIC_SIZE = (480, 640)
FOLDER_FPS = 2.0


class Source(Protocol):
    """An opened source. `live` ones go on by themselves and come back after a fault; the others end.

    Those that end may tell in `damaged` how many frames could not be read, in `faults` why, and in `early`, after
    the last frame, what is missing of what they should have held.

    `read` gives the next frame, uint8 BGR (H, W, 3), or None: at the end, or where a live source has a fault.
    """

    live: bool
    fps: float

    def read(self) -> np.ndarray | None: ...

    def release(self) -> None: ...


class Live:
    """A camera or a stream through OpenCV. A stream that says how long it is ends, and is worked through."""

    def __init__(self, what: int | str, size: tuple[int, int] | None = None) -> None:
        with quiet():
            self._capture = cv2.VideoCapture(what)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not a queue of old ones
        if size is not None:
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[1])
        self.opened = self._capture.isOpened()
        fps = self._capture.get(cv2.CAP_PROP_FPS) if self.opened else 0
        self.fps = fps if 0 < fps < 1000 else 30.0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self.opened and isinstance(what, str) else 0
        self.count = int(count) if 0 < count < 1e9 else None
        self.live = self.count is None
        self._got, self.early = 0, ""

    def read(self) -> np.ndarray | None:
        good, frame = self._capture.read()
        if good and frame is not None and frame.size:
            self._got += 1
            return frame
        if self.count is not None and self.count - self._got > max(2, self.count // 50):
            self.early = f"the stream ended after {self._got} of {self.count} frames"
        return None

    def release(self) -> None:
        self._capture.release()


class Video:
    """A video file at a constant rate: frames that have longer times come again, so that it keeps its time.

    Damaged frames count in `damaged`; until the next good one the one before is shown.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self._reader = VideoReader(path)
        self.fps, self.count = self._reader.fps, self._reader.duration or self._reader.count
        self.damaged, self._place = 0, 0
        self._frames = iter(self._reader)
        self._shown = self._next = self._following()

    @property
    def early(self) -> str:
        missing = self._reader.missing
        return f"{missing} frames are missing at its end; is the file whole?" if missing else ""

    def read(self) -> np.ndarray | None:
        while self._next is not None and self._next.place <= self._place:
            self._shown, self._next = self._next, self._following()
        last = self._next is None and self._shown is not None and self._place > self._shown.place
        if self._shown is None or (
            last and not (self._reader.uneven and self._place < self._reader.duration)
        ):
            return None
        self._place += 1
        return self._shown.image

    def _following(self) -> VideoFrame | None:
        for frame in self._frames:
            if frame.image is not None:
                return frame
            self.damaged += 1
        return None

    def release(self) -> None:
        self._reader.close()


class Folder:
    """The images of a folder by name, each for half a second; what cannot be read is passed over and reported."""

    live = False

    def __init__(self, folder: Path, fps: float = FOLDER_FPS) -> None:
        self.fps = fps
        self._paths = sorted(
            p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
        if not self._paths:
            raise DataError(f"{folder}: the folder holds no image ({', '.join(SUFFIXES)})")
        self.count, self.damaged, self.faults = len(self._paths), 0, []
        self._left = iter(self._paths)

    def read(self) -> np.ndarray | None:
        for path in self._left:
            try:
                return np.ascontiguousarray(read_image(path)[..., ::-1])
            except (DataError, OSError) as error:
                self.damaged += 1
                self.faults.append(str(error))
        return None

    def release(self) -> None:
        self._left = iter(())


class Synthetic:
    """A figure that walks before stripes, 640x480 at 30 frames a second, endless; needs no camera.

    `paced=False` gives frames as fast as they are asked for.
    """

    def __init__(self, size: tuple[int, int] = SYNTHETIC_SIZE, paced: bool = True) -> None:
        self.live, self.fps, self.size, self._paced = paced, 30.0, size, paced
        rows, columns = np.mgrid[: size[0], : size[1]]
        self._scene = np.stack([100 + rows * 0.1, 120 + columns * 0.1, 140 + 20 * np.sin(columns / 25)], -1)
        self._scene = np.clip(self._scene, 0, 255).astype(np.uint8)
        self._number, self._next = 0, time.monotonic()

    def read(self) -> np.ndarray:
        if self._paced:
            self._next = max(self._next + 1 / self.fps, time.monotonic() - 0.1)
            time.sleep(max(self._next - time.monotonic(), 0))
        height, width = self.size
        frame, x = self._scene.copy(), int(width * (0.5 + 0.3 * np.sin(self._number / 40)))
        unit = height / 10
        cv2.ellipse(frame, (x, height), (int(2.2 * unit), int(4.5 * unit)), 0, 180, 360, (60, 60, 160), -1)
        cv2.ellipse(
            frame, (x, int(4.2 * unit)), (int(1.2 * unit), int(1.6 * unit)), 0, 0, 360, (130, 160, 210), -1
        )
        self._number += 1
        return frame

    def release(self) -> None:
        pass


def opener(text: str, size: tuple[int, int] | None = None, paced: bool = True) -> Callable[[], Source]:
    """A function that opens a source by its name, as often as it is called.

    Args:
        text: a camera's number, a video file, a folder of images, a stream's address, or "synthetic".
        size: (height, width) asked of a camera.
        paced: "synthetic" keeps to its 30 frames a second.

    Returns:
        A function without arguments that gives the opened source: its `read()` gives the next frame, uint8 BGR
        `(height, width, 3)`, or None, and its `release()` closes it.

    Raises:
        SettingsError: nothing that could be a source.
        DataError: a file or folder that is not there.

    Example:

    >>> from kseg.webcam import opener
    >>> source = opener("synthetic", size=(240, 320))()
    >>> source.read().shape
    (240, 320, 3)
    >>> source.release()
    """
    check_source(text)
    if text == "synthetic":
        return lambda: Synthetic(size or SYNTHETIC_SIZE, paced)
    if re.fullmatch(r"\d+", text):
        return lambda: Live(int(text), size)
    if STREAM.match(text):
        return lambda: Live(text)
    path = Path(text)
    if path.is_dir():
        return lambda: Folder(path)
    return lambda: Video(path)


def check_opens(text: str, source: Source) -> None:
    """Check that a source has opened; where it has not, the error says what to do.

    Args:
        text: the source, as `opener` takes it.
        source: what the opener gave.

    Raises:
        DataError: a camera or a stream that cannot be opened.

    Example:

    >>> from kseg.webcam import check_opens, opener
    >>> check_opens("synthetic", opener("synthetic")())
    """
    if getattr(source, "opened", True):
        return
    if re.fullmatch(r"\d+", text):
        there = (
            sorted(p.name.removeprefix("video") for p in Path("/dev").glob("video*"))
            if os.name == "posix"
            else []
        )
        known = f"cameras {', '.join(there)} are there" if there else "no camera is there"
        raise DataError(
            f"camera {text} cannot be opened ({known}): plug one in, close the program that uses it, or try "
            "--source synthetic"
        )
    if STREAM.match(text):
        raise DataError(f"{text}: the stream cannot be opened; is the address right and its server running?")
