"""Labels and logits for the losses of regions."""

import numpy as np
import pytest


@pytest.fixture
def maps():
    """A function of mode and seed: labels, logits, and where there are labels."""

    def make(mode="multiclass", seed=0, classes=4):
        random = np.random.default_rng(seed)
        channels = 1 if mode == "binary" else classes
        logits = random.normal(0, 2, (2, 5, 6, channels)).astype("float32")
        shape = logits.shape if mode == "multilabel" else logits.shape[:3]
        # The last class of several is nowhere.
        labels = random.integers(0, classes - 1 if mode == "multiclass" else 2, shape)
        labels = np.where(random.random(shape) < 0.3, 255, labels).astype("uint8")
        return labels, logits, labels != 255

    return make
