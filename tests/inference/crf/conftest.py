"""A picture with two colours for the dense CRF."""

import numpy as np
import pytest


def _picture(height=14, width=17, classes=3, seed=0):
    """A picture of two colours and noisy probabilities that follow them."""
    rng = np.random.default_rng(seed)
    right = np.arange(width) >= width // 2
    image = np.where(right[None, :, None], 200, 60) + rng.normal(0, 4, (height, width, 3))
    probabilities = rng.dirichlet([1.0] * classes, (height, width))
    probabilities[..., 0] += 0.3 * ~right
    probabilities[..., 1] += 0.3 * right
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    return image.clip(0, 255).astype(np.uint8), probabilities.astype(np.float32)


@pytest.fixture(scope="session")
def two_colours():
    return _picture
