"""Is the exported file the same network? Its outputs beside the Keras model's, picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import ModelError
from kseg.export.graph import logits_of

TOLERANCE = 1e-3  # of the largest logit, at least of 1


@dataclass(frozen=True)
class Parity:
    """How an exported model agrees with the Keras model.

    Attributes:
        images, pixels: what was compared.
        agreement: fraction of pixels with the same class, 0-1.
        largest_difference: of two logits; for a file that gives class ids, by how much the Keras logit of its
            class lies below the highest one, at the worst pixel.
        largest_logit: the largest absolute logit of the Keras model, the scale of the above.
    """

    images: int
    pixels: int
    agreement: float
    largest_difference: float
    largest_logit: float

    @property
    def equal(self) -> bool:
        """Equal within float32 rounding: differences up to 1e-3 of the logits' scale."""
        return bool(self.largest_difference <= TOLERANCE * max(self.largest_logit, 1.0))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "equal": self.equal}


class Comparison:
    """Adds up how two models' outputs differ, batch by batch; ``parity()`` is the result."""

    def __init__(self) -> None:
        self.images = self.pixels = self.same = 0
        self.worst = self.scale = 0.0

    def add(self, expected: np.ndarray, found: np.ndarray) -> None:
        """Count logits (B, H, W, classes) beside logits or class ids (B, H, W).

        Raises:
            ModelError: another shape, or values that are no numbers.
        """
        alike, difference = _difference(expected, found)
        self.images, self.pixels = self.images + len(expected), self.pixels + alike.size
        self.same += int(alike.sum())
        self.worst = max(self.worst, difference)
        self.scale = max(self.scale, float(np.abs(expected).max()))

    def parity(self) -> Parity:
        return Parity(self.images, self.pixels, self.same / max(self.pixels, 1), self.worst, self.scale)


def compiled(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """The Keras model as a compiled graph from images of any size to NumPy logits, to compare and to time."""
    function = tf.function(logits_of(model), autograph=False, reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


def compare(
    model: keras.Model, exported: Callable[[np.ndarray], np.ndarray], batches: Iterable[np.ndarray]
) -> Parity:
    """Run both on every batch (B, H, W, C) of 0-255 and compare.

    Raises:
        ModelError: the exported model gives another shape, or values that are no numbers.
    """
    reference, comparison = compiled(model), Comparison()
    for batch in batches:
        comparison.add(reference(batch), exported(batch))
    return comparison.parity()


def _difference(expected: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, float]:
    """Where the classes are the same, and the largest difference."""
    labels = expected.argmax(-1)
    if found.shape == expected.shape:
        if not np.isfinite(found).all():
            raise ModelError("The exported model gives values that are no numbers (NaN or infinity)")
        return found.argmax(-1) == labels, float(np.abs(found - expected).max())
    if found.shape != labels.shape:
        raise ModelError(
            f"The exported model gives {found.shape} where the Keras model gives {expected.shape}"
        )
    if found.max() >= expected.shape[-1]:
        raise ModelError(f"The exported model gives class {found.max()} of {expected.shape[-1]} classes")
    chosen = np.take_along_axis(expected, found[..., None].astype(np.int64), -1)[..., 0]
    return found == labels, float((expected.max(-1) - chosen).max())
