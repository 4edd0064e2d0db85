"""The two kernels of a dense CRF: of places, and of places and colours."""

import functools
from typing import Any

import numpy as np

from kseg.inference.crf.permutohedral import PermutohedralLattice


@functools.lru_cache(maxsize=2)
def spatial_kernel(height: int, width: int, std: float, device: str | None = None) -> Any:
    """The filter's tables for the spatial kernel of images of a size; those of the last two are kept."""
    from kseg.inference.crf.mean_field import kernel

    return kernel(PermutohedralLattice(_positions(height, width, std)), device)


def bilateral_kernel(image: np.ndarray, xy_std: float, rgb_std: float, device: str | None = None) -> Any:
    """The filter's tables for the bilateral kernel of an image.

    Args:
        image: `(height, width, 3)`, 0-255.
        xy_std: standard deviation in pixels.
        rgb_std: standard deviation in grey levels.
        device: of Keras's backend, where the tables go; None for the program of this machine's processor.
    """
    from kseg.inference.crf.mean_field import kernel

    colours = image.reshape(-1, 3).astype(np.float32) / np.float32(rgb_std)
    features = np.concatenate([_positions(*image.shape[:2], xy_std), colours], axis=1)
    return kernel(PermutohedralLattice(features), device)


def _positions(height: int, width: int, std: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(std)
    return np.stack([x.ravel(), y.ravel()], axis=1)
