"""Writing a video file through OpenCV: it gets its name when it is whole."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import DataError, KsegWarning, SettingsError
from kseg.io.atomic import put_in_place, temporary_path
from kseg.io.video import for_opencv, quiet

CODES = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
LEAST_FREE = 2**20  # bytes of the disk, below which nothing more is written
CHECKED = 25  # frames from one look at the disk to the next


class VideoFile:
    """Writes BGR frames into a video that gets its name when it is whole; the first frame decides the size.

    Frames of other sizes are resized to it. MPEG-4 through OpenCV takes even sizes only: an odd one loses its last
    row or column there, with a `KsegWarning`; .avi (Motion JPEG) keeps it.

    Args:
        path: .mp4, .m4v, .mov, .mkv or .avi; its folder is made.
        fps: frames a second; rounded where MPEG-4 cannot say it (66.123, for instance).

    `frames` counts, `size` is (height, width) in the file, None before the first frame.

    Raises:
        SettingsError: another ending, or a folder of this name.
        DataError: by `write` and `close`, where the file cannot be written, or not wholly.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path, self.fps = Path(path), fps
        if self.path.suffix.lower() not in CODES:
            raise SettingsError(f"{path}: a video's name ends in {', '.join(CODES)}")
        if self.path.is_dir():
            raise SettingsError(f"{path}: this is a folder; expected the name of a video")
        self._stack = contextlib.ExitStack()  # holds the temporary path
        self._writer: cv2.VideoWriter | None = None
        self.frames, self.size = 0, None

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 BGR (height, width, 3)."""
        if self._writer is None:
            self._open(frame)
        if self.frames % CHECKED == 0 and shutil.disk_usage(self._part.parent).free < LEAST_FREE:
            raise DataError(f"{self.path}: the disk is full")
        if frame.shape[:2] != self._shape:
            frame = cv2.resize(frame, self._shape[::-1], interpolation=cv2.INTER_AREA)
        with quiet():
            self._writer.write(frame)
        self.frames += 1

    def _open(self, frame: np.ndarray) -> None:
        self._part = self._stack.enter_context(temporary_path(self.path))
        self._shape = height, width = frame.shape[:2]
        odd, avi = height % 2 or width % 2, self.path.suffix.lower() == ".avi"
        self.size = (height, width) if avi or not odd else (height // 2 * 2, width // 2 * 2)
        if self.size != self._shape and 0 not in self.size:
            warnings.warn(
                f"{self.path}: {width}x{height} becomes {self.size[1]}x{self.size[0]}, as MPEG-4 takes even sizes "
                "only; an .avi keeps it",
                KsegWarning,
                stacklevel=3,
            )
        code = cv2.VideoWriter_fourcc(*CODES[self.path.suffix.lower()])
        # OpenCV's FFmpeg cuts odd sizes in every format, its own Motion JPEG does not.
        backend = cv2.CAP_OPENCV_MJPEG if avi and odd else cv2.CAP_ANY
        self.fps = self.fps if avi else sayable(self.fps)
        with quiet(), for_opencv(self._part) as name:
            writer = cv2.VideoWriter(name, backend, code, self.fps, (width, height))
        if not writer.isOpened():
            self.discard()
            raise DataError(
                f"{self.path}: a video of {width}x{height} at {self.fps:g} fps cannot be written there"
            )
        self._writer = writer

    def close(self) -> None:
        """Give the file its name; without a frame there is none."""
        if self._writer is None:
            return
        try:
            with quiet():
                self._writer.release()
            self._writer = None
            # Whether a video can be opened, has the frames that it claims, and has its last ones; give or take a
            # few.
            frames = self.frames
            with quiet(), for_opencv(self._part) as name:
                capture = cv2.VideoCapture(name)
                found = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else -1
                capture.set(cv2.CAP_PROP_POS_FRAMES, max(frames - 3, 0))
                last = capture.grab()
                capture.release()
            if not (last and abs(found - frames) <= max(2, frames // 50)):
                raise DataError(f"{self.path}: the video could not be written wholly; is the disk full?")
            put_in_place(self._part, self.path)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing behind; after `close` this does nothing."""
        if self._writer is not None:
            with quiet():
                self._writer.release()
            self._writer = None
        self._stack.close()


def sayable(fps: float) -> float:
    """The rate as MPEG-4 can say it: OpenCV makes a decimal fraction of it, whose parts may be 65535 at most."""
    digits = 3
    while digits and round(fps * 10**digits) > 65535:
        digits -= 1
    return round(fps, digits)
