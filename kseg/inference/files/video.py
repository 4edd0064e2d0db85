"""Video as a batch job: every frame is predicted and painted, and the video keeps its time and shape."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from kseg.errors import DataError, KsegWarning, SettingsError
from kseg.inference.files.images import _labelling
from kseg.io.atomic import write_text
from kseg.io.video import VideoFrame, VideoReader
from kseg.io.video_file import VideoFile, sayable
from kseg.progress import Progress
from kseg.visualize.overlay import overlay as draw_overlay
from kseg.visualize.palette import Palette, write_palette_png

if TYPE_CHECKING:
    from kseg.inference.predictor import Predictor


@dataclass(frozen=True)
class VideoSummary:
    """What `predict_video` did.

    Attributes:
        frames: frames written.
        damaged: numbers of the damaged frames of the source.
        fps: frames a second written.
        size: (height, width) written.
        missing: frames at the end that the source speaks of and does not hold.
        predicted: frames of the source that were read.
        uneven: whether the source's frames have times of their own, which `frames` keeps by holding them.

    Example:
    ```python
    summary = kseg.inference.predict_video(predictor, "street.mp4", "street_overlay.mp4")
    print(f"{summary.frames} frames, {len(summary.damaged)} of them damaged")
    ```
    """

    frames: int
    damaged: tuple[int, ...]
    fps: float
    size: tuple[int, int]
    missing: int = 0
    predicted: int = 0
    uneven: bool = False


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
    """Write a video of overlays that lasts as long as `video` and shows each frame at its time.

    Frames with uneven times (phones, screen recorders) are held until the next one's time, at a constant rate that
    is high enough for all of them. Pixels that are not square are made so, with a `KsegWarning`. A damaged frame
    is replaced by the one before it. The file appears when it is done. There is no sound in it: OpenCV writes none.

    Args:
        predictor: the `Predictor`.
        video: the file.
        out: the video to write: .mp4, .mov, .mkv (MPEG-4) or .avi (Motion JPEG).
        masks: a folder for palette PNGs of the class ids at the size of the stored frames, `000000.png` and so on,
            one a frame of `video`, or None. Where the frames have uneven times, `times.csv` there says them.
        palette: an RGB colour per class; None: the model's own, else VOC's colour map.
        classes: names; checked against the model.
        alpha: how opaque the paint is, 0 to 1.
        progress: called with (frames done, frames in all).

    Returns:
        `VideoSummary`: frames written, damaged frames, rate and size.

    Raises:
        DataError: not a video, none of its frames can be read, or `out` cannot be written.
        SettingsError: an ending that is not a video's, or `out` is the input, or a folder.

    Example:
    ```python
    predictor = kseg.inference.Predictor(kseg.models.from_preset("people"))
    kseg.inference.predict_video(predictor, "walk.mp4", "walk_overlay.mp4", masks="walk_masks/")
    ```
    """
    video, out = Path(video), Path(out)
    if out.exists() and video.exists() and out.samefile(video):
        raise SettingsError(f"{out}: the overlay would overwrite the video: choose another name")
    _, palette = _labelling(predictor, classes, palette)
    file, reader = VideoFile(out, 25.0), VideoReader(video)
    try:
        reader.fps = file.fps = reader.fps if out.suffix.lower() == ".avi" else sayable(reader.fps)
        job = _VideoJob(predictor, reader, file, masks, palette, alpha)
        job.run(progress)
        file.close()
    finally:
        reader.close()
        file.discard()
    return VideoSummary(
        file.frames, tuple(job.damaged), file.fps, file.size, reader.missing, job.predicted, reader.uneven
    )


class _VideoJob:
    """The frames of one video on their way from `reader` through `predictor` to `file`."""

    def __init__(
        self,
        predictor: Predictor,
        reader: VideoReader,
        file: VideoFile,
        masks: str | Path | None,
        palette: Palette,
        alpha: float,
    ):
        self.predictor, self.reader, self.file = predictor, reader, file
        self.masks = None if masks is None else Path(masks)
        self.palette, self.alpha = palette, alpha
        self.damaged: list[int] = []
        self.predicted = self.dropped = 0
        self._places: list[int] = []
        self._stored = self._shown = (0, 0)
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # mask at the stored size, painted frame

    def run(self, progress: Progress | None) -> None:
        if self.masks is not None:
            self.masks.mkdir(parents=True, exist_ok=True)
        for frame in self.reader:
            self.predicted += 1
            if frame.image is None:
                self.damaged.append(frame.number)
            else:
                self._show(frame)
            if self._last is not None:
                self._write_mask(frame.number)
            self._places.append(frame.place)
            if progress is not None and self.file.frames:
                progress(self.file.frames, max(self.reader.duration, self.file.frames))
        if self._last is None:
            raise DataError(f"{self.reader.path}: none of its frames can be read; is the file whole?")
        # The last frame is held for its time; damaged ones at the end likewise.
        damaged = bool(self.damaged) and self.damaged[-1] == self.predicted - 1
        if self.reader.uneven or (damaged and self.reader.timed):
            self._hold(self.reader.duration, self._last[1])
        elif damaged:
            self._hold(self.predicted, self._last[1])
        if self.masks is not None and self.reader.uneven:
            rows = [f"{n:06d}.png,{place / self.reader.fps:.3f}" for n, place in enumerate(self._places)]
            write_text(self.masks / "times.csv", "\n".join(["mask,seconds", *rows]) + "\n")
        if self.dropped:
            warnings.warn(
                f"{self.reader.path}: {self.dropped} frames follow each other faster than {self.reader.fps:g} a "
                "second and are not in the overlay; their masks are written",
                KsegWarning,
                stacklevel=3,
            )

    def _show(self, frame: VideoFrame) -> None:
        """Predict a frame and write it at its place; until then the one before is shown."""
        first = self._last is None
        if first:
            self._stored, self._shown = frame.stored, frame.image.shape[:2]
            stored, shown = self._stored, self._shown
            if stored != shown:
                warnings.warn(
                    f"{self.reader.path}: its pixels are not square ({stored[1]}x{stored[0]} is shown as "
                    f"{shown[1]}x{shown[0]}); the overlay has square ones, masks have the stored size",
                    KsegWarning,
                    stacklevel=4,
                )
        image = frame.image
        if image.shape[:2] != self._shown:  # of another size than the first
            image = cv2.resize(image, self._shown[::-1], interpolation=cv2.INTER_AREA)
        image = np.ascontiguousarray(image[..., ::-1])
        labels = self.predictor(image)
        painted = draw_overlay(image, labels, self.palette, self.alpha, ignore_label=None)[..., ::-1]
        mask = labels.astype(np.uint8)
        if mask.shape != self._stored:
            mask = cv2.resize(mask, self._stored[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        self._hold(frame.place, painted if first else self._last[1])
        self._last = mask, painted
        if first:  # what was damaged before is filled up with it
            for number in self.damaged:
                self._write_mask(number)
        if self.file.frames <= frame.place:
            self.file.write(painted)
        else:
            self.dropped += 1

    def _hold(self, place: int, painted: np.ndarray) -> None:
        while self.file.frames < place:
            self.file.write(painted)

    def _write_mask(self, number: int) -> None:
        if self.masks is not None:
            write_palette_png(self.masks / f"{number:06d}.png", self._last[0], self.palette)
