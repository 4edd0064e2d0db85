"""`FilePredictor`: label maps by an exported model in its own runtime, without TensorFlow or Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kseg.errors import ModelError
from kseg.inference.checks import checked_image, checked_threshold
from kseg.inference.labels import best_classes
from kseg.io.bands import BYTES, resized
from kseg.progress import Progress

MOST_CLASSES = 2**16


@dataclass(frozen=True)
class FileInfo:
    """What an exported file takes and gives, as its metadata say; attributes as of `ModelInfo`."""

    name: str = "file"
    channels: int = 3
    value_range: tuple[float, float] = BYTES
    multilabel: bool = False

    @property
    def is_rgb(self) -> bool:
        return self.channels == 3 and self.value_range == BYTES


class FilePredictor:
    """Predicts label maps with whatever runs one image, such as a `.tflite` file in LiteRT.

    The image is resized to the size that the model works at (averaged where it shrinks), and the
    probabilities are resized back bilinearly, as `Predictor` does it with a Keras model at one scale.

    Call it with an image as a `Predictor`: it returns labels `(height, width)`, uint8, or uint16 for more
    than 255 classes. `kseg.predictor("model.tflite")` makes one of a file.

    Args:
        run: called with an RGB image, uint8 `(height, width, 3)`; gives `(h, w, classes)`, one channel for background
            and object, or class ids `(h, w)`.
        output: what `run` gives: "logits", "probabilities" or "labels".
        size: (height, width) that images are resized to; None: their own.
        classes: their names, or None.
        palette: an RGB colour per class, or None.
        crf: called with (image, probabilities) at the image's size; gives probabilities.
        threshold: above which probability a pixel is class 1, of a model of one channel or two classes; or belongs to
            a class, where classes overlap.
        info: what the file takes and gives, where that is not an RGB image and one class a pixel.

    Raises:
        ModelError: `run` gives no map of classes.

    Example:

    >>> def run(image):  # any function from an image to class scores
    ...     return np.stack([255.0 - image[..., 0], image[..., 0]], -1)
    >>> predict = kseg.inference.FilePredictor(run, "logits", size=(16, 16), classes=("dark", "bright"))
    >>> predict(np.full((40, 60, 3), 200, "uint8")).mean()
    np.float64(1.0)
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        output: str,
        size: tuple[int, int] | None = None,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        threshold: float = 0.5,
        info: FileInfo | None = None,
    ) -> None:
        self.info = info = FileInfo() if info is None else info
        self.run, self.output, self.size, self.crf = run, output, size, crf
        middle = np.full((*(size or (64, 64)), info.channels), sum(info.value_range) // 2)
        first = self._scores(middle.astype(np.uint8 if info.is_rgb else np.float32))
        count = len(classes or ()) or int(first.max()) + 1 if first.ndim == 2 else first.shape[-1]
        self.num_classes = count
        self.threshold = checked_threshold(threshold, count, info.multilabel)
        fits = classes is not None and len(classes) == count
        self.classes = tuple(classes) if fits else None
        self.palette = tuple(map(tuple, palette)) if palette is not None and len(palette) == count else None

    @property
    def model(self) -> FilePredictor:
        """What has `classes` and `palette`, as a Predictor's `model` has them."""
        return self

    def __call__(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        if self.output == "labels" and self.crf is None:
            dtype = np.uint8 if self.num_classes <= 255 else np.uint16
            labels = self._scores(self._brought(checked_image(image, self.info)))
            whole = image.shape[1::-1]
            return cv2.resize(labels.astype(np.uint16), whole, interpolation=cv2.INTER_NEAREST).astype(dtype)
        return best_classes(self.probabilities(image, progress), self.threshold, self.info.multilabel)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Predict images of one size.

        Args:
            images: uint8 or float `(batch, height, width, 3)`, RGB 0-255.

        Returns:
            Labels `(batch, height, width)`, uint8, or uint16 for more than 255 classes.
        """
        return np.stack([self(image) for image in images])

    def probabilities(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Compute the probabilities of one image at its own size, after the CRF if there is one.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.
            progress: called with (1, 1) when the model has run.

        Returns:
            float32 `(height, width, classes)`.
        """
        image = checked_image(image, self.info)
        found = self._scores(self._brought(image))
        if self.output == "labels":
            found = (found[..., None] == np.arange(self.num_classes)).astype(np.float32)
        found = cv2.resize(found, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        found = found if found.ndim == 3 else found[..., None]
        if progress is not None:
            progress(1, 1)
        return found if self.crf is None else self.crf(image, found)

    def _brought(self, image: np.ndarray) -> np.ndarray:
        """The image at the model's size: RGB as uint8, others as float32."""
        if self.info.is_rgb and image.dtype != np.uint8:
            image = np.clip(np.rint(image), 0, 255).astype(np.uint8)
        if self.size is None or image.shape[:2] == self.size:
            return np.ascontiguousarray(image)
        shrinks = image.shape[0] > self.size[0] or image.shape[1] > self.size[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return resized(image, self.size, how)

    def _scores(self, image: np.ndarray) -> np.ndarray:
        """Probabilities (h, w, classes) float32, or class ids (h, w), of an image at the model's size."""
        found = np.asarray(self.run(image))
        if self.output == "labels":
            found = found[..., 0] if found.ndim == 3 and found.shape[-1] == 1 else found
            if found.ndim != 2:
                raise ModelError(
                    f"the model gives class ids of shape {found.shape}, expected (height, width)"
                )
            return found
        found = found[..., None] if found.ndim == 2 else found
        if found.ndim != 3 or 0 in found.shape or found.shape[-1] > MOST_CLASSES:
            raise ModelError(f"the model gives {found.shape} an image; expected (height, width, classes)")
        found = found.astype(np.float32)
        if found.shape[-1] == 1 or self.info.multilabel:  # one object before background, or objects that overlap
            one = 1 / (1 + np.exp(-np.clip(found, -60, 60))) if self.output == "logits" else found
            return one if self.info.multilabel else np.concatenate([1 - one, one], -1)
        if self.output == "probabilities":
            return found
        powers = np.exp(found - found.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)
