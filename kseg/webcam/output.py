"""Where drawn frames go: a window, a video file, screenshots."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import DataError, SettingsError

TITLE = "kseg webcam"
CODES = {".mp4": "mp4v", ".m4v": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


class Recorder:
    """Writes BGR frames into a video; the first one decides the size, others are brought to it.

    Args:
        path: an .mp4, .avi or .mkv file; its folder is made.
        fps: frames a second of the file.

    Raises:
        DataError: at the first frame, where the file cannot be written.
    """

    def __init__(self, path: Path, fps: float):
        if path.suffix.lower() not in CODES:
            raise SettingsError(f"{path}: a video's name ends in {', '.join(CODES)}")
        self.path, self.fps, self._writer, self._size = path, fps, None, (0, 0)
        self.frames = 0

    def write(self, frame: np.ndarray) -> None:
        if self._writer is None:
            self._open(frame)
        if frame.shape[1::-1] != self._size:
            frame = cv2.resize(frame, self._size)
        self._writer.write(frame)
        self.frames += 1

    def _open(self, frame: np.ndarray) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = frame.shape[:2]
        self._size = (width, height)
        code = cv2.VideoWriter_fourcc(*CODES[self.path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(self.path), code, self.fps, self._size)
        if not self._writer.isOpened():
            raise DataError(
                f"{self.path}: this video cannot be written ({width}x{height} at {self.fps:g} fps)"
            )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None


class Window:
    """A window on the screen; ``show`` gives the pressed key or -1.

    Raises:
        SettingsError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self, title: str = TITLE):
        check_display()
        os.environ.setdefault(
            "QT_LOGGING_RULES", "default.warning=false"
        )  # it misses fonts that nothing needs
        self.title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SettingsError(
                "This OpenCV has no windows (the headless package): install opencv-contrib-python, or use "
                "--headless --output out.mp4"
            ) from error
        self._sized = False

    def show(self, frame: np.ndarray) -> int:
        if not self._sized:
            cv2.resizeWindow(self.title, frame.shape[1], frame.shape[0])
            self._sized = True
        cv2.imshow(self.title, frame)
        return cv2.waitKey(1)

    @property
    def closed(self) -> bool:
        """Whether the user closed it."""
        return self._sized and cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1

    def close(self) -> None:
        cv2.destroyWindow(self.title)
        cv2.waitKey(1)


def check_display() -> None:
    """SettingsError where no display answers: Qt would end the process without a word that helps.

    Wayland's and other systems' displays are left to OpenCV.
    """
    other = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM", "xcb") != "xcb"
    if sys.platform != "linux" or other:
        return
    display = os.environ.get("DISPLAY", "")
    if not (display and _answers(display)):
        what = (
            f"the display {display} does not answer"
            if display
            else "there is no display (DISPLAY is not set)"
        )
        raise SettingsError(f"No window can be opened: {what}. Use --headless --output out.mp4")


def _answers(display: str) -> bool:
    match = re.fullmatch(r"([^:]*):(\d+)(\.\d+)?", display.removeprefix("unix"))
    if match is None:
        return False
    host, number = match[1], int(match[2])
    places = [(socket.AF_INET, (host or "127.0.0.1", 6000 + number))]
    if not host:
        unix = f"/tmp/.X11-unix/X{number}"
        places = [(socket.AF_UNIX, unix), (socket.AF_UNIX, "\0" + unix), *places]
    for family, address in places:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            try:
                connection.connect(address)
                return True
            except OSError:
                continue
    return False


def screenshot(frame: np.ndarray, folder: Path) -> Path:
    """Write a PNG named by the time into a folder; gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"kseg-{stamp}.png"
    number = 2
    while path.exists():
        path, number = folder / f"kseg-{stamp}-{number}.png", number + 1
    if not cv2.imwrite(str(path), frame):
        raise DataError(f"{path}: the screenshot cannot be written")
    return path
