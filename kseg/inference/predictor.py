"""`Predictor`: a NumPy image in, a label map of the same size out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import cv2
import keras
import numpy as np

from kseg import checks
from kseg.errors import DataError, SettingsError
from kseg.inference.checks import check_one_class, checked_image, checked_threshold, checked_window
from kseg.inference.forward import Forward, mean_colour, output_stride
from kseg.inference.labels import best_classes
from kseg.inference.model_info import check_sides, inspect_model
from kseg.inference.window_average import Span, WindowGrid, averaged_parts
from kseg.io.bands import resized
from kseg.progress import Progress

WHOLE_PIXELS = 4_000_000  # without a window, larger images are cut into windows of AUTO_WINDOW,
WHOLE_BYTES = 2**30  # and those of more probabilities, where they are larger than such a window
AUTO_WINDOW = (1024, 1024)
BATCH_PIXELS = 1_000_000  # tiles are batched up to this many pixels
BATCH_TILES = 16
CRF_BYTES = 2**32  # a CRF sees the whole image's probabilities; beyond this it is refused


class Predictor:
    """Predicts label maps with any Keras model that turns images into class logits.

    Turns an image of any size, from 1x1 on, into labels or probabilities of that size. The probabilities of
    all scales and of the mirrored image are averaged and resized to the image's size; the class with the
    highest average wins. Memory does not grow with the image beyond the image and its labels: the result is
    finished in strips of rows (and bands of columns where it is very wide), and mirroring and resizing happen
    window by window.

    Call it with an image, uint8 or float `(height, width, 3)`, RGB 0-255: it returns labels `(height,
    width)`, uint8, or uint16 for more than 255 classes. `probabilities(image)` returns float32 `(height,
    width, classes)`. Both take `progress`, called with (windows done, windows in all).

    Args:
        model: Keras model, input (B, h, w, 3) RGB 0-255, output (B, h', w', classes): logits, or probabilities where
            it ends in a softmax or a sigmoid (see `output`); one channel is background and object. Also class ids
            (B, h', w'). A map of another size than the input is resized bilinearly before the softmax. A model with
            a fixed input size is run in windows of this size.
        scales: the image is predicted at each of these factors of its own size.
        flip: average with the prediction of the mirrored image.
        window: (height, width) or one integer: cut the scaled image into windows of this size, the last
            ones shifted back to end with the image, and average where they overlap. None: the whole
            image at once; above 4 megapixels (after scaling), or a gigabyte of probabilities, in windows of
            1024x1024.
        crf: called with (image, probabilities), gives probabilities of the same shape, at full resolution and
            after averaging; needs the whole image's probabilities in memory.
        stride: step between windows as a part of the window, in (0, 1]; rounded up to pixels.
        pad: images smaller than the window are filled up to it with the model's mean colour, at the bottom
            and the right (PSPNet's released Caffe test; the later PyTorch one has half of it on each side). By
            default the window is cut to the image instead, so that a window larger than the image is the
            plain prediction.
        batch_size: windows per model call; None: as many as have a megapixel, at most 16.
        size: (height, width), or one integer: images are resized to this size first (averaged where they shrink),
            and `scales` are of it. None: the model's `working_size`, where it has one and no `window` is asked for;
            else the image's own.
        long_side: images are resized to this length of their longer side instead, keeping their shape, and
            `scales` are of that: PSPNet's released test has 512 for ADE20K and VOC, and 2048 for Cityscapes.
        output: what the model's output is, "logits", "probabilities" or "labels"; None: what its graph says
            (`inspect_model`).
        threshold: above which probability a pixel is class 1, of a model of one channel or two classes; or belongs to
            a class, where classes overlap.

    Raises:
        SettingsError: scales that are not positive, a window smaller than the model's output stride, or
            another setting out of its range.
        ModelError: a model that does not turn images into class logits.
        DataError: of a call, an array that is not an RGB image, or has NaN or values outside 0-255.

    Reference:
        Sliding window and averaging as in PSPNet (Zhao et al., CVPR 2017, released test code).

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> model = keras.Model(image, keras.layers.Conv2D(4, 1)(image))
    >>> predict = kseg.inference.Predictor(model, scales=(0.5, 1.0), flip=True)
    >>> predict(np.zeros((40, 60, 3), "uint8")).shape
    (40, 60)
    >>> predict.probabilities(np.zeros((40, 60, 3), "uint8")).shape
    (40, 60, 4)
    """

    def __init__(
        self,
        model: keras.Model,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        window: int | Span | None = None,
        crf: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        *,
        stride: float = 2 / 3,
        pad: bool = False,
        batch_size: int | None = None,
        size: int | Span | None = None,
        long_side: int | None = None,
        output: str | None = None,
        threshold: float = 0.5,
    ) -> None:
        self.model, self.flip, self.crf = model, bool(flip), crf
        self.info = check_sides(inspect_model(model, output))
        if crf is not None:
            check_one_class(self.info, "a CRF")
        self._fixed, self.num_classes = self.info.size, self.info.num_classes
        self.scales = checks.scales(scales, different=False)
        self.window = checked_window(window, self._fixed, output_stride(model))
        if size is not None and long_side is not None:
            raise SettingsError("Give the size that images are resized to, or their longer side, not both")
        name = "size"
        if size is None and window is None and long_side is None:
            size, name = getattr(model, "working_size", None), "working_size"
        self.size = None if size is None else checks.pair(size, name)
        self.long_side = None if long_side is None else checks.whole(long_side, "long_side")
        self.stride = checks.fraction(stride, "stride", zero=False)
        self.pad = bool(pad) or self._fixed is not None
        self.batch_size = None if batch_size is None else checks.whole(batch_size, "batch_size")
        self.batch_size = self.info.batch or self.batch_size
        self.threshold = checked_threshold(threshold, self.num_classes, self.info.multilabel)
        self._mean = mean_colour(model, self.info.channels)
        self._probabilities = Forward(model, self.flip, labels=False, info=self.info)
        self._labels = Forward(model, self.flip, labels=True, info=self.info)

    @property
    def label_dtype(self) -> type:
        return np.uint8 if self.num_classes <= 255 or self.info.multilabel else np.uint16

    @property
    def _each_class(self) -> tuple[int, ...]:
        """The axis of masks, of classes that overlap."""
        return (self.num_classes,) if self.info.multilabel else ()

    def __call__(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        image = checked_image(image, self.info)
        if self.crf is not None:
            return self._best(self._with_crf(image, progress))
        if self._is_plain(image.shape[:2]):
            return self._plain(image[None], progress)[0]
        labels = np.empty((*image.shape[:2], *self._each_class), self.label_dtype)
        for rows, columns, probabilities in self._parts(image, progress):
            labels[slice(*rows), slice(*columns)] = self._best(probabilities)
        return labels

    def probabilities(self, image: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """Compute the averaged probabilities of one image, after the CRF if there is one.

        Args:
            image: uint8 or float `(height, width, 3)`, RGB 0-255.
            progress: called with (windows done, windows in all).

        Returns:
            float32 `(height, width, classes)`.
        """
        image = checked_image(image, self.info)
        return self._averaged(image, progress) if self.crf is None else self._with_crf(image, progress)

    def batch(self, images: np.ndarray) -> np.ndarray:
        """Predict images of one size, in one model call where the settings allow it.

        Args:
            images: uint8 or float `(batch, height, width, 3)`, RGB 0-255.

        Returns:
            Labels `(batch, height, width)`, uint8, or uint16 for more than 255 classes.
        """
        if not len(images):
            return np.empty((0, *images.shape[1:3], *self._each_class), self.label_dtype)
        if self.crf is None and self._is_plain(images.shape[1:3]):
            return self._plain(np.stack([checked_image(image, self.info) for image in images]))
        return np.stack([self(image) for image in images])

    def _is_plain(self, size: Span) -> bool:
        """Whether one model call on the image as it is gives the labels."""
        grid = self._grid(size, 1.0)
        plain = self.scales == (1.0,) and self.threshold == 0.5 and not self.info.multilabel
        return plain and grid.window == size and grid.count((0, size[1])) == 1

    def _plain(self, images: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        labels = self._labels.run(images.astype(np.float32))
        if progress is not None:
            progress(1, 1)
        return labels.astype(self.label_dtype)

    def _averaged(self, image: np.ndarray, progress: Progress | None) -> np.ndarray:
        result = np.empty((*image.shape[:2], self.num_classes), np.float32)
        for rows, columns, probabilities in self._parts(image, progress):
            result[slice(*rows), slice(*columns)] = probabilities
        return result

    def _with_crf(self, image: np.ndarray, progress: Progress | None) -> np.ndarray:
        need = image.shape[0] * image.shape[1] * self.num_classes * 4
        if need > CRF_BYTES:
            raise DataError(
                f"A CRF needs the probabilities of the whole image, {need / 2**30:.1f} GiB for "
                f"{image.shape[0]}x{image.shape[1]} pixels and {self.num_classes} classes: predict without "
                "it, or cut the image into pieces"
            )
        before = self._averaged(image, progress)
        after = np.asarray(self.crf(image, before), np.float32)
        if after.shape != before.shape:
            raise SettingsError(f"The CRF gave probabilities {after.shape}, expected {before.shape}")
        return after

    def _best(self, probabilities: np.ndarray) -> np.ndarray:
        return best_classes(probabilities, self.threshold, self.info.multilabel)

    def _base(self, size: Span) -> tuple[float, float]:
        """What the scales are of, for an image of `size`; not rounded yet."""
        if self.long_side is None:
            return self.size or size
        return tuple(length * self.long_side / max(size) for length in size)

    def _grid(self, size: Span, scale: float) -> WindowGrid:
        """Where the windows lie over an image of `size` at one scale."""
        size = _scaled(self._base(size), scale)
        window = self.window
        if window is None:
            most = max(WHOLE_BYTES // (self.num_classes * 4), AUTO_WINDOW[0] * AUTO_WINDOW[1])
            window = size if size[0] * size[1] <= min(WHOLE_PIXELS, most) else AUTO_WINDOW
        if not self.pad:
            window = tuple(min(pair) for pair in zip(window, size, strict=True))
        # Rounded first: 2/3 of 12 is a hair above 8 in binary.
        stride = tuple(max(math.ceil(round(length * self.stride, 6)), 1) for length in window)
        return WindowGrid(size, window, stride)

    def _parts(self, image: np.ndarray, progress: Progress | None) -> Iterator[tuple[Span, Span, np.ndarray]]:
        """Parts of the result as (rows, columns, probabilities), band by band and from top to bottom."""
        size = image.shape[:2]
        # Averaged along a side that shrinks: interpolating would step over pixels.
        smaller = tuple(min(pair) for pair in zip(size, _scaled(self._base(size), 1.0), strict=True))
        if smaller != size:
            image = resized(image, smaller, cv2.INTER_AREA)
        grids = [self._grid(size, scale) for scale in self.scales]
        fitting = [BATCH_PIXELS // (grid.window[0] * grid.window[1]) for grid in grids]
        return averaged_parts(
            image,
            size,
            grids,
            self._probabilities.run,
            self.num_classes,
            [self.batch_size or min(max(count, 1), BATCH_TILES) for count in fitting],
            self._mean,
            progress,
        )


def _scaled(size: tuple[float, float], scale: float) -> Span:
    return tuple(max(round(length * scale), 1) for length in size)
