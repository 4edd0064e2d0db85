"""A tiny network, and a tiny labelled data set that it solves."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from kseg.data import load

CLASSES = ("dark", "middle", "bright")


def tiny_net(dtype=None) -> keras.Model:
    """Any size in; three logits that tell dark, middle and bright pixels apart, plus a batch normalisation."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="to_1")(image)
    x = keras.layers.DepthwiseConv2D(
        3, padding="same", depthwise_initializer="ones", dtype=dtype, name="mean"
    )(x)
    x = keras.layers.BatchNormalization(name="norm", dtype=dtype)(x)
    x = keras.layers.Conv2D(3, 1, name="score", dtype=dtype)(x)
    x = keras.layers.Activation("linear", name="logits", dtype="float32")(x)
    net = keras.Model(image, x, name="tiny")
    # Lines 9 s (k/2) - 9 (k/2)^2 / 2 in s = the mean brightness: the highest is the one whose k/2 is closest.
    centres = np.array([0, 0.5, 1], np.float32)
    scale = np.float32(np.sqrt(1 + 1e-3))  # of the fresh batch normalisation, undone
    kernel = np.repeat(scale * 9 * centres[None], 3, axis=0) / 27
    net.get_layer("score").set_weights([kernel[None, None], -9 * centres**2 / 2])
    return net


@pytest.fixture
def net() -> keras.Model:
    return tiny_net()


@pytest.fixture
def half_net() -> keras.Model:
    return tiny_net("mixed_float16")


@pytest.fixture
def dataset(tmp_path: Path):
    """Three pictures of flat patches of the three brightnesses, with masks; one column is ignored."""
    root = tmp_path / "patches"
    for part in ("images", "masks"):
        (root / part / "val").mkdir(parents=True)
    for number in range(3):
        mask = np.kron(
            np.random.default_rng(number).permutation([0, 1, 2, 1, 0, 2]).reshape(2, 3), np.ones((12, 12))
        )
        image = np.repeat((mask * 127)[..., None], 3, axis=-1)
        mask[:, 0] = 255
        cv2.imwrite(str(root / "images" / "val" / f"{number}.png"), image.astype(np.uint8))
        cv2.imwrite(str(root / "masks" / "val" / f"{number}.png"), mask.astype(np.uint8))
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return load("folder", root, "val")


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (24, 36, 3)).astype(np.uint8) for _ in range(3)]
