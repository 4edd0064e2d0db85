"""Video as a batch job: every frame predicted and painted, frame rate and size kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.inference.draw import overlay as draw_overlay
from kseg.inference.images import _labelling
from kseg.inference.palette_png import Palette, write_palette_png
from kseg.inference.predictor import Predictor
from kseg.inference.progress import Progress

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".wmv")
CODES = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
PATIENCE = 100  # frames that may fail one after the other before the rest of the file counts as lost


@dataclass(frozen=True)
class VideoSummary:
    """What ``predict_video`` did: frames written, numbers of the damaged ones, frames a second, (height, width)."""

    frames: int
    damaged: tuple[int, ...]
    fps: float
    size: tuple[int, int]


def predict_video(
    predictor: Predictor,
    video: str | Path,
    out: str | Path,
    *,
    masks: str | Path | None = None,
    palette: Palette | None = None,
    classes: Sequence[str] | None = None,
    alpha: float = 0.5,
    progress: Progress | None = None,
) -> VideoSummary:
    """Write a video of overlays with the frame rate and size of ``video``.

    A damaged frame is replaced by the one before it, so that sound and picture stay together. The file appears
    when it is done. There is no sound in it: OpenCV writes none.

    Args:
        predictor: the ``Predictor``.
        video: the file.
        out: the video to write: .mp4, .mov, .mkv (MPEG-4) or .avi (Motion JPEG).
        masks: a folder for palette PNGs of the class ids, ``000000.png`` and so on, one a frame, or None.
        palette: an RGB colour per class; None: the model's own, else VOC's colour map.
        classes: names; checked against the model.
        alpha: how opaque the paint is, 0 to 1.
        progress: called with (frames done, frames in all).

    Raises:
        DataError: not a video, none of its frames can be read, or ``out`` cannot be written.
        SettingsError: an ending that is none of a video, or ``out`` is the input.
    """
    video, out = Path(video), Path(out)
    if out.suffix.lower() not in CODES:
        raise SettingsError(f"{out}: a video's name ends in {', '.join(CODES)}")
    if out.exists() and video.exists() and out.samefile(video):
        raise SettingsError(f"{out}: the overlay would overwrite the video: choose another name")
    _, palette = _labelling(predictor, classes, palette)
    capture = opened(video)
    part = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    out.parent.mkdir(parents=True, exist_ok=True)
    if masks is not None:
        Path(masks).mkdir(parents=True, exist_ok=True)
    try:
        summary = _written(predictor, capture, video, part, masks, palette, alpha, progress)
        os.replace(part, out)
    finally:
        capture.release()
        part.unlink(missing_ok=True)
    return summary


def opened(video: Path) -> cv2.VideoCapture:
    """The video, opened; DataError where it cannot be."""
    if not video.is_file():
        raise DataError(f"{video}: no such video")
    capture = cv2.VideoCapture(str(video))
    if not capture.isOpened():
        raise DataError(f"{video}: not a video that can be read; expected {', '.join(SUFFIXES)}")
    return capture


def frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray | None]:
    """The frames of a video, BGR; None for a damaged one. What fails at the very end is not a frame."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    total = int(count) if 0 < count < 1e9 else None
    place = missed = 0
    while missed < PATIENCE:
        good, frame = capture.read()
        place += 1
        if good and frame is not None and frame.size:
            yield from [None] * missed
            yield frame
            missed = 0
        elif total is None or place > total:
            return
        else:
            missed += 1


def _written(
    predictor: Predictor,
    capture: cv2.VideoCapture,
    video: Path,
    part: Path,
    masks: str | Path | None,
    palette: Palette,
    alpha: float,
    progress: Progress | None,
) -> VideoSummary:
    """Predict and write frame by frame; the sizes are those of the first frame that can be read."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if 0 < fps < 1000 else 25.0
    total = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
    writer, size, damaged, done, waiting = None, (0, 0), [], 0, 0
    labels = painted = None
    try:
        for number, frame in enumerate(frames(capture)):
            if frame is None:
                damaged.append(number)
            else:
                labels, painted = _painted(predictor, frame, size if writer else None, palette, alpha)
            if painted is None:  # damaged from the start: filled up with the first good one
                waiting += 1
                continue
            if writer is None:
                size = painted.shape[:2]
                writer = _writer(part, fps, size)
            for _ in range(waiting + 1):
                writer.write(painted)
                if masks is not None:
                    write_palette_png(Path(masks) / f"{done:06d}.png", labels.astype(np.uint8), palette)
                done += 1
            waiting = 0
            if progress is not None:
                progress(done, max(total, done))
    finally:
        if writer is not None:
            writer.release()
    if not done:
        raise DataError(f"{video}: none of its frames can be read; is the file whole?")
    return VideoSummary(done, tuple(damaged), fps, size)


def _painted(
    predictor: Predictor,
    frame: np.ndarray,
    size: tuple[int, int] | None,
    palette: Palette,
    alpha: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and BGR overlay of a frame; a frame of another size than the first is brought to it."""
    if size is not None and frame.shape[:2] != size:
        frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
    image = np.ascontiguousarray(frame[..., ::-1])
    labels = predictor(image)
    return labels, draw_overlay(image, labels, palette, alpha, ignore_label=None)[..., ::-1]


def _writer(path: Path, fps: float, size: tuple[int, int]) -> cv2.VideoWriter:
    code = cv2.VideoWriter_fourcc(*CODES[path.suffix.lower()])
    writer = cv2.VideoWriter(str(path), code, fps, size[::-1])
    if not writer.isOpened():
        raise DataError(
            f"{path.parent}: a video of {size[1]}x{size[0]} at {fps:g} fps cannot be written there"
        )
    return writer
