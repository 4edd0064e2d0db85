"""Activations of a network's layers, as a sheet of heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kseg.visualize.grid import sheet


@dataclass(frozen=True)
class Activation:
    """The most telling channel of a layer: float32 (rows, columns), and which one of how many it is."""

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
    """
    images = [image, *(_painted(one.values) for one in activations)]
    return sheet(images, ["image", *(str(one) for one in activations)], columns)


def _painted(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    grey = ((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(grey, cv2.COLORMAP_HOT)[..., ::-1])
