"""A data set in memory and a network that trains on it in a second."""

import keras
import pytest

from kseg.data import Dataset
from kseg.training import Recipe
from tests.training.blocks import CLASSES, PALETTE, Blocks


def blocks(split, count, seed=0, name="blocks"):
    return Dataset(name, split, CLASSES, PALETTE, Blocks(count, seed))


@pytest.fixture
def train():
    return blocks("train", 18)


@pytest.fixture
def val():
    return blocks("val", 5, seed=1)


@pytest.fixture
def network():
    """A function that builds the same network, with the same weights, each time."""

    def build(classes=3, name="small"):
        keras.utils.set_random_seed(3)
        image = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 127, -1)(image)
        x = keras.layers.Conv2D(8, 3, padding="same", name="body")(x)
        x = keras.layers.BatchNormalization(name="norm", momentum=0.8)(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.Dropout(0.3, name="dropout")(x)
        return keras.Model(
            image, keras.layers.Conv2D(classes, 1, name="score", dtype="float32")(x), name=name
        )

    return build


@pytest.fixture
def small_recipe():
    return Recipe(
        learning_rate=0.02,
        epochs=4,
        batch_size=4,
        size=(16, 24),
        scale=(0.8, 1.25),
        mirror=True,
        brightness=0.1,
        warmup_steps=2,
        sampling=0.5,
        seed=5,
    )
