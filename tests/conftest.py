"""Shared fixtures: the real images' folder, a seed for every test, and writers of images without kseg."""

import gc
import os
import struct
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import keras
import numpy as np
import pytest


def pytest_configure():
    if keras.backend.backend() == "torch":
        import torch

        # `np.asarray(model(image))` reads a tensor here as on the other backends, where none carries a gradient.
        torch.Tensor.__array__ = lambda tensor, dtype=None, copy=None: np.asarray(tensor.detach().numpy(), dtype)


def pytest_collection_finish():
    # The half million objects of TensorFlow and of the collected tests stay: no collection need look at them again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(items):
    if keras.backend.backend() == "tensorflow":
        return
    skip = pytest.mark.skip(reason=f"of TensorFlow's own engine; Keras runs on {keras.backend.backend()}")
    for item in items:
        if item.get_closest_marker("tensorflow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def gradients():
    """``gradients(function, *arrays)``: of a scalar function of ``keras.ops``, with respect to each array."""

    def on_tensorflow(function, *arrays):
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return [np.asarray(gradient) for gradient in tape.gradient(value, tensors)]

    def on_jax(function, *arrays):
        import jax

        found = jax.grad(lambda parts: function(*parts))([jax.numpy.asarray(array) for array in arrays])
        return [np.asarray(gradient) for gradient in found]

    def on_torch(function, *arrays):
        import torch

        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        function(*tensors).backward()
        return [tensor.grad.numpy() for tensor in tensors]

    return {"tensorflow": on_tensorflow, "jax": on_jax, "torch": on_torch}[keras.backend.backend()]


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures (``KSEG_DATA``, or ``../shared/data`` beside the checkout)."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("KSEG_DATA", default))
    if not (root / "camvid").is_dir():
        pytest.skip(
            f"no real pictures at {root}: set KSEG_DATA to a folder that holds camvid/ and voc_people/"
        )
    return root


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(height, width, bits, colour, rows: bytes, extra: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _rows(values: np.ndarray, bits: int) -> bytes:
    """Packed scan lines, each with filter type 0 before it (PNG specification, section 7.2)."""
    lines = []
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        digits += "0" * (-len(digits) % 8)
        lines.append(b"\0" + bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8)))
    return b"".join(lines)


def indexed_png(values: np.ndarray, palette, bits: int = 8) -> bytes:
    """A palette PNG with the given indices."""
    colours = _chunk(b"PLTE", bytes(int(part) for colour in palette for part in colour))
    return _png(*values.shape, bits, 3, _rows(values, bits), colours)


def grey_png(values: np.ndarray, bits: int = 8) -> bytes:
    return _png(*values.shape, bits, 0, _rows(values, bits))


def huge_png(height: int, width: int) -> bytes:
    """A PNG that only claims its size."""
    return _png(height, width, 8, 2, b"")


def folder_pair(root, count=3, size=(20, 24), classes=3, split=None, seed=0):
    """images/*.png and masks/*.png of random values; returns the arrays."""
    rng = np.random.default_rng(seed)
    parts = [root / "images", root / "masks"]
    parts = [part / split if split else part for part in parts]
    arrays = []
    for part in parts:
        part.mkdir(parents=True)
    for index in range(count):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        mask = rng.integers(0, classes, size, dtype=np.uint8)
        mask[0, 0] = classes - 1
        cv2.imwrite(str(parts[0] / f"p{index}.png"), image[..., ::-1])
        cv2.imwrite(str(parts[1] / f"p{index}.png"), mask)
        arrays.append((image, mask))
    return arrays


@pytest.fixture(scope="session")
def write():
    """The writers above, by name."""
    return SimpleNamespace(
        indexed_png=indexed_png, grey_png=grey_png, huge_png=huge_png, folder_pair=folder_pair
    )


@pytest.fixture
def people_root(tmp_path):
    """Two images of VOC and ten of Clothing Co-Parsing, in the layout of `kseg.data.load("people")`."""
    voc = tmp_path / "voc_people" / "VOCdevkit" / "VOC2012"
    ccp = tmp_path / "ccp_people"
    rng = np.random.default_rng(0)
    for folder in (voc / "JPEGImages", voc / "SegmentationClass", voc / "ImageSets" / "Segmentation"):
        folder.mkdir(parents=True)
    for folder in (ccp / "images", ccp / "masks"):
        folder.mkdir(parents=True)
    mask = np.zeros((80, 60), np.uint8)
    mask[20:80, 20:45] = 15
    mask[18:20] = 255
    mask[:10, 50:] = 1  # an aeroplane: background here
    for name, times in (("a", 1), ("b", 4)):
        cv2.imwrite(
            str(voc / "JPEGImages" / f"{name}.jpg"), rng.integers(0, 256, (80 * times, 60 * times, 3))
        )
        cv2.imwrite(
            str(voc / "SegmentationClass" / f"{name}.png"), np.kron(mask, np.ones((times, times), np.uint8))
        )
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("b\n")
    for i in range(10):
        cv2.imwrite(str(ccp / "images" / f"{i:02d}.jpg"), rng.integers(0, 256, (90, 60, 3)))
        cv2.imwrite(
            str(ccp / "masks" / f"{i:02d}.png"), np.pad(np.ones((60, 20), np.uint8), ((15, 15), (20, 20)))
        )
    return tmp_path


@pytest.fixture
def discs(tmp_path, monkeypatch) -> Path:
    """Bright discs and a square on dark ground, which Edge Boxes find."""
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "discs"
    for split, count in (("train", 3), ("val", 1)):
        for part in ("images", "masks"):
            (root / part / split).mkdir(parents=True)
        for number in range(count):
            image = np.full((120, 160, 3), 50, np.uint8)
            mask = np.zeros((120, 160), np.uint8)
            cv2.circle(image, (50 + 8 * number, 60), 30, (200, 160, 90), -1)
            cv2.circle(mask, (50 + 8 * number, 60), 30, 1, -1)
            if number == 0:
                cv2.rectangle(image, (110, 30), (150, 80), (90, 220, 120), -1)
                cv2.rectangle(mask, (110, 30), (150, 80), 2, -1)
            noise = np.random.default_rng(number).integers(0, 8, image.shape)
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), (image + noise).astype(np.uint8))
            cv2.imwrite(str(root / "masks" / split / f"{number}.png"), mask)
    (root / "classes.txt").write_text("ground\ndisc\nsquare\n")
    return root
