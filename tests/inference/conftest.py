"""A picture and a small net that the predictor's tests share."""

import keras
import numpy as np
import pytest
from keras import layers

from kseg.layers import Normalize


@pytest.fixture
def picture():
    def drawn(height=37, width=53):
        return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return drawn


@pytest.fixture
def net():
    def drawn(kernel=3, classes=4, size=(None, None)):
        """Two convolutions with some contrast between classes; ``kernel=1`` makes it independent of position."""
        image = keras.Input((*size, 3))
        x = Normalize((120, 110, 100), (60, 60, 60))(image)
        x = layers.Conv2D(6, kernel, padding="same", activation="relu", kernel_initializer="glorot_normal")(x)
        scores = layers.Conv2D(classes, kernel, padding="same", bias_initializer="normal")
        return keras.Model(image, scores(x * 3))

    return drawn


def _plain(model, image):
    """The model's softmax on one image, straight from Keras, by the formula."""
    powers = np.exp(np.asarray(model(image[None].astype(np.float32)), "float64"))[0]
    return powers / powers.sum(-1, keepdims=True)


@pytest.fixture(scope="session")
def plain():
    return _plain
