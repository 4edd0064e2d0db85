"""A fully connected CRF that sharpens the edges of a segmentation."""

import itertools
import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.inference.checks import check_range
from kseg.inference.crf.kernels import bilateral_kernel, spatial_kernel
from kseg.inference.crf.on_device import checked_device
from kseg.io.memory import GIB, free_memory

MOST_ITERATIONS = 1_000_000
NEGLIGIBLE = 1e-5  # change of a probability by the messages of classes that are left out
ROW_SUM = 4.0  # no row of a normalised kernel sums to more, as far as images have been seen
BASE_BYTES = 16 * 2**20  # of the compiled program, whatever the image
LATTICE_BYTES, LOOP_BYTES, BYTES_PER_CLASS = 850, 650, 36  # per pixel, 0.1 to 8 MP, 2 to 60 classes


@dataclass(frozen=True, eq=False)
class DenseCRF:
    """Mean-field inference in a CRF that connects every pair of pixels by two Gaussian kernels.

    The spatial kernel smooths; the bilateral kernel ties pixels that are near and of like colour. Both are
    filtered on the permutohedral lattice and normalised symmetrically, as pydensecrf does by default; results
    agree with it to float32 rounding.

    Call it with an image, uint8 or float `(height, width, 3)` RGB 0-255, and probabilities `(height, width,
    classes)`: it returns float32 probabilities of that shape.

    The compiled program depends on the size of the problem, rounded up to one of eight an octave: the first
    image of a new size takes a second or two longer. The spatial lattice is kept for the last two sizes. The
    defaults are those of DeepLab v1's release.

    Args:
        spatial_std: standard deviation of the spatial kernel in pixels.
        spatial_weight: its weight; 0 leaves the kernel out.
        bilateral_xy_std: standard deviation of the bilateral kernel in pixels.
        bilateral_rgb_std: its standard deviation in grey levels, 0-255.
        bilateral_weight: its weight; 0 leaves the kernel out.
        iterations: number of mean-field updates; 0 gives the probabilities clipped at the floor.
        compatibility: None for the Potts model, or a symmetric `(classes, classes)` array of penalties for a
            pair of labels; Potts is `1 - np.eye(classes)`.
        floor: smallest probability that the unary term takes. Potts classes of so small a probability
            everywhere that their messages cannot change a result by more than about 1e-5 are not filtered, which
            saves most of the time where an image shows few of many classes.
        tile: None to refine the image whole, or the side in pixels of square tiles that are refined one by
            one with a margin of twice the larger standard deviation: saves memory, loses what lies farther.
        memory_limit: bytes that one call may take; None for what the machine has free.
        device: None for the program of this machine's processor, or a device of Keras's backend such as "gpu:0". The
            lattice is still built on the processor, the iterations run on the device through `keras.ops`, compiled by
            XLA under TensorFlow and JAX. `memory_limit` is not about the device's own memory.

    Raises:
        SettingsError: a parameter out of its range; a device that Keras's backend does not have, or that runs out of
            memory; an image whose estimate exceeds `memory_limit`.
        DataError: an image or probabilities of a wrong shape or type, or probabilities that are not finite,
            negative, or do not sum to one.

    Reference:
        Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
        NIPS 2011, algorithm 1.

    Example:

    >>> image = np.zeros((16, 16, 3), "uint8")
    >>> image[:, 8:] = 255
    >>> probabilities = np.full((16, 16, 2), 0.5, "float32")
    >>> probabilities[:, :4], probabilities[:, 12:] = (0.9, 0.1), (0.1, 0.9)
    >>> refined = kseg.inference.DenseCRF(bilateral_xy_std=10, iterations=5)(image, probabilities)
    >>> refined.argmax(-1)[0].tolist()  # the undecided middle follows the image's edge
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    """

    spatial_std: float = 3
    spatial_weight: float = 3
    bilateral_xy_std: float = 49
    bilateral_rgb_std: float = 5
    bilateral_weight: float = 4
    iterations: int = 10
    compatibility: np.ndarray | None = None
    floor: float = 1e-5
    tile: int | None = None
    memory_limit: float | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("spatial_std", "bilateral_xy_std", "bilateral_rgb_std"):
            _check(getattr(self, name), name, above=0)
        for name in ("spatial_weight", "bilateral_weight"):
            _check(getattr(self, name), name, least=0)
        _check(self.floor, "floor", above=0)
        if self.floor >= 1:
            raise SettingsError(f"floor is a small probability, got {self.floor}")
        object.__setattr__(self, "iterations", _whole(self.iterations, "iterations", 0))
        if self.iterations > MOST_ITERATIONS:
            raise SettingsError(f"iterations must be {MOST_ITERATIONS:,} at most, got {self.iterations}")
        if self.tile is not None:
            object.__setattr__(self, "tile", _whole(self.tile, "tile", 1))
        if self.memory_limit is not None:
            _check(self.memory_limit, "memory_limit", above=0)
        if self.compatibility is not None:
            object.__setattr__(self, "compatibility", _symmetric(self.compatibility))
        if self.device is not None:
            object.__setattr__(self, "device", checked_device(self.device))

    def __call__(self, image: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        image, probabilities = np.asarray(image), np.asarray(probabilities)
        self.check(image, probabilities)
        if self.tile is None:
            self.check_memory(*probabilities.shape)
            return self.refine(image, probabilities)
        margin = int(np.ceil(2 * max(self.spatial_std, self.bilateral_xy_std)))
        refined = np.empty(probabilities.shape, np.float32)
        for corner in itertools.product(*(range(0, length, self.tile) for length in image.shape[:2])):
            inner, outer, kept = [], [], []  # the tile; with its margin; where it lies within that
            for start, length in zip(corner, image.shape[:2], strict=True):
                stop, begin = min(start + self.tile, length), max(start - margin, 0)
                inner.append(slice(start, stop))
                outer.append(slice(begin, min(stop + margin, length)))
                kept.append(slice(start - begin, stop - begin))
            part = probabilities[tuple(outer)]
            self.check_memory(*part.shape)
            refined[tuple(inner)] = self.refine(image[tuple(outer)], part)[tuple(kept)]
        return refined

    def memory(self, height: int, width: int, classes: int) -> int:
        """Estimate the peak of a call in bytes: all classes active, a photograph of 0.4 to 1 lattice vertices a pixel.

        Args:
            height, width: of the image in pixels.
            classes: number of classes.

        Returns:
            Bytes.
        """
        return BASE_BYTES + height * width * max(LATTICE_BYTES, LOOP_BYTES + BYTES_PER_CLASS * classes)

    def refine(self, image: np.ndarray, probabilities: np.ndarray, bilateral=None) -> np.ndarray:
        """Refine an image whole and unchecked.

        Args:
            image: `(height, width, 3)` RGB 0-255.
            probabilities: `(height, width, classes)`.
            bilateral: the `bilateral_kernel` of the image, where one is at hand.

        Returns:
            float32 probabilities `(height, width, classes)`.
        """
        from kseg.inference.crf.mean_field import mean_field

        height, width, classes = probabilities.shape
        rows = probabilities.reshape(-1, classes)
        kernels, weights = [], []
        if self.spatial_weight:
            kernels.append(spatial_kernel(height, width, float(self.spatial_std), self.device))
            weights.append(self.spatial_weight)
        if self.bilateral_weight:
            stds = self.bilateral_xy_std, self.bilateral_rgb_std
            kernels.append(bilateral or bilateral_kernel(image, *stds, self.device))
            weights.append(self.bilateral_weight)
        active = self._active_classes(rows) if kernels else None
        settings = self.iterations, self.floor, self.compatibility
        refined = mean_field(rows, kernels, weights, *settings, active, self.device)
        return refined.reshape(height, width, classes)

    def _active_classes(self, rows: np.ndarray) -> np.ndarray | None:
        """The classes whose messages can matter; None for all.

        Under Potts a class of at most p everywhere stays below p exp(m), as messages only add to a class's own
        share, and its message m to itself is at most the weights times p (times the kernels' largest row sum):
        leaving it out changes probabilities by about m p. Classes are left out while the sum of that is NEGLIGIBLE.
        """
        from kseg.inference.crf.mean_field import padded

        classes = rows.shape[1]
        if self.compatibility is not None or classes == 1:
            return None
        bound = ROW_SUM * (self.spatial_weight + self.bilateral_weight)
        highest = rows[::61].max(axis=0)  # a look at a few rows finds most of the classes that matter
        if (bound * highest**2 > NEGLIGIBLE).all():
            return None
        highest = rows.max(axis=0).clip(self.floor, 1).astype(np.float64)
        order = np.argsort(highest)
        silent = np.searchsorted(bound * np.cumsum(highest[order] ** 2), NEGLIGIBLE, side="right")
        count = padded(max(classes - int(silent), 1), 2)  # few sizes, so that few programs are compiled
        return None if count >= classes else np.sort(order[classes - count :])

    def check(self, image: np.ndarray, probabilities: np.ndarray) -> None:
        """Check an image and probabilities before they are refined.

        Args:
            image: what should be an RGB image `(height, width, 3)`, 0-255.
            probabilities: what should be floats `(height, width, classes)` that sum to one over the classes.

        Raises:
            DataError: what is wrong with them.
        """
        if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
            raise DataError(
                f"the CRF needs an RGB image (height, width, 3), got an array of shape {image.shape}"
            )
        if probabilities.ndim != 3 or probabilities.shape[:2] != image.shape[:2]:
            raise DataError(
                "the CRF needs probabilities (height, width, classes) of the image's size "
                f"{image.shape[:2]}, got an array of shape {probabilities.shape}; resize them first"
            )
        classes = probabilities.shape[-1]
        if not classes:
            raise DataError("the CRF needs probabilities of at least one class, got none")
        penalties = classes if self.compatibility is None else len(self.compatibility)
        if penalties != classes:
            raise DataError(f"compatibility is for {penalties} classes, probabilities have {classes}")
        if image.dtype.kind not in "uif" or probabilities.dtype.kind != "f":
            raise DataError(
                "the CRF needs an image of whole numbers or floats and probabilities of a float type, got "
                f"{image.dtype} and {probabilities.dtype}"
            )
        check_range(image)
        sums = probabilities.astype(np.float32, copy=False) @ np.ones(classes, np.float32)
        lowest, worst = float(probabilities.min()), float(np.abs(sums - 1).max())
        if not np.isfinite(worst):
            raise DataError("the CRF needs finite probabilities, got NaN or infinity")
        if lowest < 0 or worst > 1e-3:
            raise DataError(
                "the CRF needs probabilities from 0 on that sum to one over the classes, the lowest is "
                f"{lowest:.3g} and a sum is {worst:.3g} off: apply the softmax, or divide the sigmoids of a model with "
                "one per class by their sum"
            )

    def check_memory(
        self, height: int, width: int, classes: int, advice: str = "refine it in tiles (tile=512)"
    ) -> None:
        """Check that an image refined whole stays within the limit.

        Args:
            height, width: of the image in pixels.
            classes: number of classes.
            advice: what the message says to do about it.

        Raises:
            SettingsError: the estimate is over `memory_limit`, or over what the machine has free.
        """
        limit = free_memory() if self.memory_limit is None else self.memory_limit
        need = self.memory(height, width, classes)
        if need > limit:
            raise SettingsError(
                f"a CRF on {height}x{width} pixels with {classes} classes takes about {need / GIB:.1f} GiB, "
                f"over the limit of {limit / GIB:.1f} GiB; {advice} or raise memory_limit"
            )


def _check(value: float, name: str, above: float = -np.inf, least: float = -np.inf) -> None:
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and number > above and number >= least):
        bound = f"greater than {above}" if above > least else f"at least {least}"
        raise SettingsError(f"{name} of a DenseCRF must be a number {bound}, got {value}")


def _whole(value: float, name: str, least: int) -> int:
    _check(value, name, least=least)
    if value != int(value):
        raise SettingsError(f"{name} of a DenseCRF must be a whole number, got {value}")
    return int(value)


def _symmetric(compatibility: np.ndarray) -> np.ndarray:
    try:
        matrix = np.asarray(compatibility, np.float32)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"compatibility must be a (classes, classes) array of numbers ({error})"
        ) from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise SettingsError(
            f"compatibility must be a finite (classes, classes) array, got shape {matrix.shape}"
        )
    if not np.allclose(matrix, matrix.T):
        raise SettingsError("compatibility must be symmetric: a pair's penalty does not depend on its order")
    return matrix
