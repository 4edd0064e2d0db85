"""Is the exported file the same network? Its outputs beside the Keras model's, image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.export.conversion.int8_budget import Int8Budget
from kseg.export.graph import output_of
from kseg.inference.model_info import ModelInfo, inspect_model
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


TOLERANCE = 1e-3  # of the largest logit, at least of 1
MOVED = 0.01  # fraction of pixels that a network with indices of maxima may place differently
# Fraction of pixels that must get the class that Keras gives them, by the precision of the file.
AGREEMENT = {"float32": 0.99, "float16": 0.98, "dynamic": 0.95, "int8": 0.9}


@dataclass(frozen=True)
class Parity:
    """How an exported model agrees with the Keras model.

    Attributes:
        images: how many images were compared.
        pixels: how many pixels.
        agreement: fraction of pixels with the same class, 0-1.
        largest_difference: of two logits; for a file that gives class ids, by how much the Keras logit of its
            class lies below the highest one, at the worst pixel.
        largest_logit: the largest absolute logit of the Keras model, the scale of the above.
        beyond: fraction of pixels whose logits differ by more than rounding explains.
        indices: whether the network computes indices, as pooling for unpooling does. Of two values that are
            equal but for rounding, another runtime may take the other place; few pixels then differ, by much.
        int8: what an int8 file that was given a budget loses, and which of its layers stay in float32.

    Example:

    >>> parity = kseg.export.Parity(8, 524288, 0.9998, largest_difference=4e-5, largest_logit=12.5)
    >>> parity.equal
    True
    """

    images: int
    pixels: int
    agreement: float
    largest_difference: float
    largest_logit: float
    beyond: float = 0.0
    indices: bool = False
    int8: Int8Budget | None = None

    @property
    def equal(self) -> bool:
        """Equal within float32 rounding: differences up to 1e-3 of the logits' scale.

        With `indices` up to 1 % of the pixels may differ by more.
        """
        close = self.largest_difference <= TOLERANCE * max(self.largest_logit, 1.0)
        return bool(close or (self.indices and self.beyond <= MOVED))

    def to_json(self) -> dict[str, Any]:
        """Put the comparison into plain data.

        Returns:
            A dict that `json.dump` takes.
        """
        return {**asdict(self), "equal": self.equal}


class Comparison:
    """Adds up how two models' outputs differ, batch by batch; `parity()` is the result."""

    def __init__(self, indices: bool = False, even: float | None = None) -> None:
        self.indices, self.even = indices, even
        self.images = self.pixels = self.same = self.far = 0
        self.worst = self.scale = 0.0

    def add(self, expected: np.ndarray, found: np.ndarray) -> None:
        """Count scores (B, H, W, classes) of `compiled` beside scores or class ids (B, H, W) of `as_scores`.

        Raises:
            ModelError: another shape, or values that are not numbers.
        """
        labels = expected.argmax(-1)
        if self.even is not None:
            alike, differences = _of_masks(expected, found, self.even)
        elif found.shape == expected.shape:
            if not np.isfinite(found).all():
                raise ModelError("The exported model gives values that are not numbers (NaN or infinity)")
            alike, differences = found.argmax(-1) == labels, np.abs(found - expected).max(-1)
        elif found.shape != labels.shape:
            raise ModelError(
                f"The exported model gives {found.shape} where the Keras model gives {expected.shape}"
            )
        elif found.max() >= expected.shape[-1]:
            raise ModelError(f"The exported model gives class {found.max()} of {expected.shape[-1]} classes")
        else:
            chosen = np.take_along_axis(expected, found[..., None].astype(np.int64), -1)[..., 0]
            alike, differences = found == labels, expected.max(-1) - chosen
        scale = float(np.abs(expected).max())
        self.images, self.pixels = self.images + len(expected), self.pixels + alike.size
        self.same += int(alike.sum())
        self.far += int((differences > TOLERANCE * max(scale, 1.0)).sum())
        self.worst, self.scale = max(self.worst, float(differences.max())), max(self.scale, scale)

    def parity(self) -> Parity:
        pixels = max(self.pixels, 1)
        return Parity(
            self.images,
            self.pixels,
            self.same / pixels,
            self.worst,
            self.scale,
            self.far / pixels,
            self.indices,
        )


def compiled(model: keras.Model, info: ModelInfo) -> Callable[[np.ndarray], np.ndarray]:
    """The Keras model as a compiled graph from images of any size to its scores in NumPy, to compare and to time."""
    output = output_of(model)
    function = tf.function(lambda images: info.scores(output(images)), autograph=False, reduce_retracing=True)
    return lambda images: function(tf.constant(images)).numpy()


def as_scores(info: ModelInfo, output: np.ndarray) -> np.ndarray:
    """What an exported model gave as scores (B, H, W, classes) of the Keras model, or class ids (B, H, W)."""
    if output.ndim == 4 and output.shape[-1] == info.output_channels and output.dtype.kind == "f":
        return np.asarray(info.scores(output))
    return output


def compare(
    model: keras.Model,
    exported: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[np.ndarray],
    info: ModelInfo | None = None,
) -> Parity:
    """Run both on every batch (B, H, W, C) of 0-255 and compare.

    Where the network computes indices and a batch differs, it is turned upside down, then mirrored: a network
    that is another one differs every time, a maximum that rounding has moved only by chance.

    Raises:
        ModelError: the exported model gives another shape, or values that are not numbers.
    """
    info = inspect_model(model) if info is None else info
    reference, indices = compiled(model, info), holds_indices(model)
    even = info.even if info.multilabel else None
    comparison = Comparison(indices, even)
    for batch in batches:
        for tried in (batch, batch[:, ::-1].copy(), batch[:, :, ::-1].copy()) if indices else (batch,):
            outputs, one = (reference(tried), as_scores(info, exported(tried))), Comparison(indices, even)
            one.add(*outputs)
            if one.parity().equal:
                break
        comparison.add(*outputs)
    return comparison.parity()


def least_agreement(precision: str, asked: float | None, indices: bool = False) -> float:
    """The fraction of pixels that must agree: what was asked for, else what suits the precision."""
    if asked is not None:
        return asked
    return AGREEMENT.get(precision, AGREEMENT["float32"]) - (MOVED if indices else 0.0)


def refuse_different(parity: Parity, path: Path, precision: str, min_agreement: float | None = None) -> None:
    """Raise ModelError where an exported model is another network than the Keras model.

    Args:
        parity: how they agree.
        path: the file that would be written.
        precision: of the file; logits are compared in "float32" only.
        min_agreement: see `least_agreement`.
    """
    if precision == "float32" and not parity.equal:
        raise ModelError(
            f"{path} was not written: its logits differ from Keras by up to {parity.largest_difference:.3g} "
            f"(the largest logit is {parity.largest_logit:.3g}) on {parity.images} images"
        )
    least = least_agreement(precision, min_agreement, parity.indices)
    if parity.agreement < least:
        raise ModelError(
            f"{path} was not written: only {parity.agreement:.2%} of the pixels get the class that Keras gives them, "
            f"at least {least:.2%} were expected: the scores of its classes lie closer together than this "
            "precision can tell apart. Take another precision, more calibration images, or another min_agreement "
            "(--min-agreement)"
        )


def holds_indices(model: keras.Model) -> bool:
    """Whether a layer after the input gives whole numbers, such as the places of maxima."""
    layers = [one for one in model._flatten_layers() if not isinstance(one, keras.layers.InputLayer)]
    nodes = [node for layer in layers if layer is not model for node in layer._inbound_nodes]
    kinds = {keras.backend.standardize_dtype(t.dtype) for node in nodes for t in node.output_tensors}
    return bool(kinds & {"int32", "int64"})


def _of_masks(expected: np.ndarray, found: np.ndarray, even: float) -> tuple[np.ndarray, np.ndarray]:
    """Of classes that overlap: whether all of a pixel's classes are the same, and the largest difference."""
    if found.shape != expected.shape:
        raise ModelError(
            f"The exported model gives {found.shape} where the Keras model gives {expected.shape}"
        )
    if found.dtype.kind == "f":
        if not np.isfinite(found).all():
            raise ModelError("The exported model gives values that are not numbers (NaN or infinity)")
        return ((found > even) == (expected > even)).all(-1), np.abs(found - expected).max(-1)
    same = (found > 0) == (expected > even)
    return same.all(-1), np.where(same, 0, np.abs(expected - even)).max(-1)
