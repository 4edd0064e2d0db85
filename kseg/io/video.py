"""Reading video files through OpenCV, with the times of their frames and pixels made square."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import DataError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")
COUNTED = (".mp4", ".m4v", ".mov", ".avi")  # formats that say exactly how many frames they hold
ISO = (".mp4", ".m4v", ".mov")
COMMON_RATES = (15, 23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 100, 119.88, 120)
HIGHEST_RATE = 120.0  # frames a second of a video whose frames have uneven times
LONGEST_GAP = 600.0  # seconds between two frames, above which the time stamps count as damaged
SILENT = 0  # OpenCV's LOG_LEVEL_SILENT
PATIENCE = 100  # frames that may fail one after the other before the rest of the file counts as lost


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the lines of OpenCV and FFmpeg, which tell of what kseg says itself, off the screen."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel  # OpenCV 4, 5
    before = set_level(SILENT)
    try:
        yield
    finally:
        set_level(before)


@contextlib.contextmanager
def for_opencv(path: Path) -> Iterator[str]:
    """The path as OpenCV takes it; one that is not UTF-8 through a link."""
    try:
        str(path).encode()
        yield str(path)
        return
    except UnicodeEncodeError:
        pass
    with tempfile.TemporaryDirectory(prefix="kseg-") as folder:
        link = Path(folder, "folder")
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        try:
            path.name.encode()
        except UnicodeEncodeError:
            link = Path(folder, f"video{path.suffix}")
            link.symlink_to(path.resolve())
            yield str(link)
            return
        yield str(link / path.name)


def opened(path: Path) -> cv2.VideoCapture:
    """The video, opened; DataError where it cannot be."""
    if not path.is_file():
        raise DataError(f"{path}: no such video")
    with quiet(), for_opencv(path) as name:
        capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise DataError(f"{path}: not a video that can be read; expected {', '.join(SUFFIXES)}")
    return capture


def check_pixels(path: Path, max_pixels: int) -> None:
    """DataError where a video cannot be read, or its frames have more than `max_pixels` pixels."""
    capture = opened(path)
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    capture.release()
    if width * height > max_pixels:
        raise DataError(
            f"{path}: frames of {width}x{height} are more than the limit of {max_pixels:,} pixels: make the video "
            "smaller, or raise --max-pixels"
        )


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video.

    Attributes:
        image: uint8 BGR (height, width, 3) in square pixels; None for a damaged frame.
        number: its place among the frames of the file.
        place: its place at the constant rate of the reader, by its time.
        stored: (height, width) in the file, before pixels that are not square were made so.
    """

    image: np.ndarray | None
    number: int
    place: int
    stored: tuple[int, int] | None


class VideoReader:
    """The frames of a video file with their places at a constant rate, so that time is kept.

    Phones and screen recorders give each frame a time of its own. A frame's `place` is its time in units of
    1 / `fps`; whoever shows it until the place of the next one shows the video in time.

    Args:
        path: the file.

    Attributes:
        fps: the constant rate: the file's own, or one at which frames with uneven times keep them.
        count: frames that the file speaks of, or None.
        duration: places in all, as far as the file says; 0 where it does not.
        uneven: whether frames have times that no constant rate explains.
        timed: whether the time stamps can be trusted; else every frame lasts 1 / `fps`.
        pixel_aspect: width of a pixel divided by its height.

    Raises:
        DataError: not a video that can be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._capture = capture = opened(self.path)
        nominal = capture.get(cv2.CAP_PROP_FPS)
        nominal = nominal if 0 < nominal < 1000 else 25.0
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 0 < count < 1e9 else None
        times = _times(self.path)
        self.timed = len(times) > 1 and float(np.diff(times).max()) <= LONGEST_GAP
        self.fps, self.uneven = _constant_rate(times, nominal) if self.timed else (nominal, False)
        self.duration = self.count or 0
        if self.timed:  # the last frame lasts as long as the file says, else as long as the one before
            last, longest = times[-1] - times[-2], np.diff(times).max()
            said = (self.count or 0) / nominal - times[-1]
            self.duration = round((times[-1] + (said if 0 < said <= longest else last)) * self.fps)
        self._nominal, self._times, self._read = nominal, times, 0
        over, under = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
        aspect = over / under if over > 0 and under > 0 else 1.0
        turned = capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
        aspect = 1 / aspect if turned else aspect
        self.pixel_aspect = aspect if 1 / 8 <= aspect <= 8 else 1.0

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames from here on; what fails at the very end is not a frame."""
        number = missed = read = 0
        place, start = -1, None
        while missed < PATIENCE:
            with quiet():
                good, image = self._capture.read()
            read += 1
            if not good or image is None or not image.size:
                if self.count is not None and self.path.suffix.lower() in COUNTED and read > self.count:
                    return
                missed += 1
                continue
            time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            start = time - missed / self.fps if start is None else start
            for _ in range(missed):
                yield VideoFrame(None, number, max(place, 0) if self.uneven else number, None)
                number += 1
            missed = 0
            # A time that does not grow is no time.
            place = (
                max(round((time - start) * self.fps), place + (0 if self.uneven else 1))
                if self.timed
                else number
            )
            height, width = image.shape[:2]
            if abs(self.pixel_aspect - 1) >= 0.004:  # stretched to square pixels, so that nothing is lost
                size = round(width * max(self.pixel_aspect, 1)), round(height / min(self.pixel_aspect, 1))
                image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
            yield VideoFrame(image, number, place, (height, width))
            number += 1
            self._read = number

    @property
    def missing(self) -> int:
        """After the last frame: how many frames the file speaks of and does not hold; 0 for a whole file.

        An end that an MP4's edit list cuts off on purpose is not missing.
        """
        suffix = self.path.suffix.lower()
        if self.count is None or (suffix in ISO and not _is_cut(self.path)):
            return 0
        if suffix in COUNTED:
            found, longest = self.count - self._read, 0.0
        elif suffix in (".mkv", ".webm") and self.timed:  # their count is a duration
            longest = float(np.diff(self._times).max())
            found = round((self.count / self._nominal - self._times[-1]) * self.fps)
        else:
            return 0
        return found if found > max(2, self.count // 50, 2 * longest * self.fps) else 0

    def close(self) -> None:
        """Let the file go."""
        self._capture.release()


def _times(path: Path) -> np.ndarray:
    """Seconds of all frames from the first, in order, read from the packets without decoding; may be empty."""
    with quiet(), for_opencv(path) as name:
        packets = cv2.VideoCapture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    found = []
    with quiet():
        while packets.grab():
            found.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    times = np.unique(found)
    # Formats without time stamps give one and the same.
    return times - times[0] if len(times) > 0.9 * len(found) else np.zeros(0)


def _constant_rate(times: np.ndarray, nominal: float) -> tuple[float, bool]:
    """The rate of a video's frames, and whether their times are uneven.

    Then it is the rate of the shortest of their usual distances, so that each gets a place of its own.
    """
    even = (len(times) - 1) / times[-1]
    if (np.abs(times * even - np.arange(len(times))) <= 0.6).all():
        # What a header says of a short clip may be an estimate: it counts if it is right to the end.
        if abs(nominal - even) * times[-1] < 0.5 and abs(nominal - even) < 0.01 * even:
            return nominal, False
        return _common(even, max(0.001, 0.001 / times[-1])), False  # times may be rounded to milliseconds
    return _common(min(1 / float(np.percentile(np.diff(times), 5)), HIGHEST_RATE), 0.03, nominal), True


def _common(rate: float, tolerance: float, *more: float) -> float:
    """The rate that cameras and films have, where one is as near as that."""
    nearest = min((*more, *COMMON_RATES), key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) < tolerance * rate else round(rate, 3)


def _is_cut(path: Path) -> bool:
    """Whether a box of an MP4 file reaches beyond the file's end."""
    size, place = path.stat().st_size, 0
    with open(path, "rb") as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:16], "big") if length == 1 else length or size - place
            if length < 8 or place + length > size:
                return True
            place += length
    return place != size
