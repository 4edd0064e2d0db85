"""Activations of a network's layers, as a sheet of heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kseg.visualize.grid import sheet


@dataclass(frozen=True)
class Activation:
    """The most telling channel of a layer.

    As text it is a caption: the layer's name, its size, and which channel of how many.

    Attributes:
        layer: the layer's name.
        channel: which channel it is, counted from 0.
        channels: how many the layer has.
        values: float32 `(rows, columns)`, the channel itself.

    Example:

    >>> from kseg.visualize.activations import Activation
    >>> print(Activation("conv1", 4, 64, np.zeros((8, 12), np.float32)))
    conv1 8x12, 5 of 64
    """

    layer: str
    channel: int
    channels: int
    values: np.ndarray

    def __str__(self) -> str:
        rows, columns = self.values.shape
        return f"{self.layer} {rows}x{columns}, {self.channel + 1} of {self.channels}"


def drawn_activations(image: np.ndarray, activations: Sequence[Activation], columns: int = 4) -> np.ndarray:
    """The image and its activations, from black over red to white, each with its layer's name above it.

    Args:
        image: uint8 `(height, width, 3)` RGB.
        activations: what `kseg.inference.activations` gives.
        columns: the most images side by side.

    Returns:
        uint8 `(height, width, 3)`.

    Example:

    >>> from kseg.visualize.activations import Activation, drawn_activations
    >>> activation = Activation("conv1", 4, 64, np.eye(8, dtype=np.float32))
    >>> drawn_activations(np.zeros((60, 80, 3), np.uint8), [activation]).shape
    (273, 498, 3)
    """
    images = [image]
    for one in activations:
        low, high = float(one.values.min()), float(one.values.max())
        grey = ((one.values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
        images.append(np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_HOT)[..., ::-1]))
    return sheet(images, ["image", *(str(one) for one in activations)], columns)
