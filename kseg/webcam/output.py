"""Where drawn frames go: a window, a video file, screenshots."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import SettingsError
from kseg.io.atomic import write_bytes
from kseg.io.video_file import VideoFile

TITLE = "kseg webcam"
RATED = 16  # frames whose times give a recording's frames a second


class Recorder(VideoFile):
    """A video of what is shown live: its frames a second are those of its first frames, so that it plays in time.

    Args:
        path: see `VideoFile`.
        fps: of the source, the most there can be.
        clock: seconds.
    """

    def __init__(self, path: Path, fps: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path, fps)
        self._clock = clock
        self._held: list[np.ndarray] | None = []
        self._begun = 0.0

    def write(self, frame: np.ndarray) -> None:
        if self._held is None:
            super().write(frame)
            return
        self._begun = self._begun if self._held else self._clock()
        self._held.append(frame)
        if len(self._held) == RATED:
            self._begin()

    def _begin(self) -> None:
        held, self._held = self._held, None
        span = self._clock() - self._begun
        rate = (len(held) - 1) / span if len(held) > 1 and span > 0 else self.fps
        if rate < 0.9 * self.fps:  # above, it is the source's own, unsteadily
            self.fps = max(round(rate, 2), 1.0)
        for frame in held:
            super().write(frame)

    def close(self) -> None:
        if self._held:
            self._begin()
        super().close()


class Window:
    """A window on the screen; `show` gives the pressed key or -1.

    Raises:
        SettingsError: there is no display, or OpenCV was built without windows.
    """

    def __init__(self, title: str = TITLE) -> None:
        check_display()
        os.environ.setdefault(
            "QT_LOGGING_RULES", "default.warning=false"
        )  # it misses fonts that nothing needs
        if _needs_x():
            os.environ["QT_QPA_PLATFORM"] = (
                "xcb"  # a desktop may have asked for wayland, and Qt would give up
            )
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

    Other systems' displays are left to OpenCV, and Wayland's where it can use them.
    """
    other = os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM", "xcb") != "xcb"
    if sys.platform != "linux" or (other and not _needs_x()):
        return
    display = os.environ.get("DISPLAY", "")
    if not (display and _answers(display)):
        what = (
            f"the display {display} does not answer"
            if display
            else "there is no display (DISPLAY is not set)"
        )
        raise SettingsError(f"No window can be opened: {what}. Use --headless --output out.mp4")


def _needs_x() -> bool:
    """Whether this OpenCV brings a Qt that knows X only, as the packages on PyPI do; X is there on Wayland too."""
    plugins = Path(cv2.__file__).parent / "qt" / "plugins" / "platforms"
    names = [path.name for path in plugins.iterdir()] if plugins.is_dir() else []
    return bool(names) and not any("wayland" in name for name in names)


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


def unused(folder: Path, suffix: str) -> Path:
    """A path in a folder, which is made, named by the time, that no file has."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    path, number = folder / f"kseg-{stamp}{suffix}", 2
    while path.exists():
        path, number = folder / f"kseg-{stamp}-{number}{suffix}", number + 1
    return path


def screenshot(frame: np.ndarray, folder: Path) -> Path:
    """Write a PNG named by the time into a folder; gives its path."""
    path = unused(folder, ".png")
    write_bytes(path, cv2.imencode(".png", frame)[1].tobytes())
    return path
