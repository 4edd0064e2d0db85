"""Video as a batch job: every frame predicted and painted, frame rate and size kept."""

from __future__ import annotations

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
from kseg.inference.video_file import SUFFIXES, VideoFile, quiet

COUNTED = (".mp4", ".m4v", ".mov", ".avi")  # formats that say exactly how many frames they hold
PATIENCE = 100  # frames that may fail one after the other before the rest of the file counts as lost


@dataclass(frozen=True)
class VideoSummary:
    """What ``predict_video`` did: frames written, numbers of the damaged ones, frames a second, (height, width).

    ``missing`` counts the frames at the end that the file speaks of and does not hold.
    """

    frames: int
    damaged: tuple[int, ...]
    fps: float
    size: tuple[int, int]
    missing: int = 0


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
        SettingsError: an ending that is none of a video, or ``out`` is the input, or a folder.
    """
    video, out = Path(video), Path(out)
    if out.exists() and video.exists() and out.samefile(video):
        raise SettingsError(f"{out}: the overlay would overwrite the video: choose another name")
    _, palette = _labelling(predictor, classes, palette)
    file, capture = VideoFile(out, 25.0), opened(video)
    fps = capture.get(cv2.CAP_PROP_FPS)
    try:
        file.fps = fps if 0 < fps < 1000 else file.fps
        if masks is not None:
            Path(masks).mkdir(parents=True, exist_ok=True)
        damaged, missing = _written(predictor, capture, video, file, masks, palette, alpha, progress)
        file.close()
    finally:
        capture.release()
        file.discard()
    return VideoSummary(file.frames, damaged, file.fps, file.size, missing)


def opened(video: Path) -> cv2.VideoCapture:
    """The video, opened; DataError where it cannot be."""
    if not video.is_file():
        raise DataError(f"{video}: no such video")
    with quiet():
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
        elif total is not None and place > total:
            return
        else:
            missed += 1


def _written(
    predictor: Predictor,
    capture: cv2.VideoCapture,
    video: Path,
    file: VideoFile,
    masks: str | Path | None,
    palette: Palette,
    alpha: float,
    progress: Progress | None,
) -> tuple[tuple[int, ...], int]:
    """Predict and write frame by frame; gives the damaged ones and how many are missing at the end."""
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    total = int(count) if 0 < count < 1e9 else 0
    damaged, waiting, size = [], 0, None
    labels = painted = None
    for number, frame in enumerate(frames(capture)):
        if frame is None:
            damaged.append(number)
        else:
            labels, painted = _painted(predictor, frame, size, palette, alpha)
        if painted is None:  # damaged from the start: filled up with the first good one
            waiting += 1
            continue
        size = labels.shape
        for _ in range(waiting + 1):
            if masks is not None:
                write_palette_png(Path(masks) / f"{file.frames:06d}.png", labels.astype(np.uint8), palette)
            file.write(painted)
        waiting = 0
        if progress is not None:
            progress(file.frames, max(total, file.frames))
    if not file.frames:
        raise DataError(f"{video}: none of its frames can be read; is the file whole?")
    missing = total - file.frames if video.suffix.lower() in COUNTED else 0
    return tuple(damaged), missing if missing > max(2, total // 50) else 0


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
