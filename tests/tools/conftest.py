"""A small network exported for serving, once for all tests of it."""

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SIZE = (30, 42)


class Served(NamedTuple):
    """The Keras network, the folder that holds its version 1, images and the same as PNG files."""

    network: keras.Model
    base: Path
    images: np.ndarray
    files: list[bytes]


def small_network():
    """Strided and dilated convolutions, depthwise ones, a normalisation, and resizing back to the image."""
    image = keras.Input((None, None, 3), name="image")
    x = kseg.layers.Normalize(mean=(127, 127, 127), std=(60, 60, 60))(image)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.BatchNormalization()(keras.layers.DepthwiseConv2D(3, padding="same", dilation_rate=2)(x))
    x = kseg.layers.ResizeLike()([keras.layers.Conv2D(4, 1)(x), image])
    return keras.Model(image, x, name="small")


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Served:
    keras.utils.set_random_seed(3)
    base, network = tmp_path_factory.mktemp("served") / "small", small_network()
    kseg.export.saved_model(network, base, size=SIZE, confidence=True)
    images = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3)).astype(np.uint8)
    files = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in images]
    return Served(network, base, images, files)


@pytest.fixture
def few_images(tmp_path) -> kseg.data.Dataset:
    """Nine 16x24 images of two classes."""
    for number in range(9):
        for part, pixels in (
            ("images", np.full((16, 24, 3), 9 * number)),
            ("masks", np.full((16, 24), number % 2)),
        ):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / f"{number}.png"), pixels.astype(np.uint8))
    return kseg.data.load("folder", tmp_path)


@pytest.fixture
def tools_on_path(monkeypatch) -> None:
    """Tools that import each other are imported as they are when run as programs."""
    monkeypatch.syspath_prepend(str(TOOLS))
    yield
    for name in ("serving_c_api", "loopback_serving", "export_report", "benchmark_export", "benchmark_crf"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def claims():
    """The package tools/claims, found as `python tools/claims.py` finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        for name in ("cache", "claimed", "heads", "intervals", "page", "protocols", "runs", "stored", "whole"):
            importlib.import_module(f"claims.{name}")
        yield importlib.import_module("claims")
