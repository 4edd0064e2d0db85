"""EXIF orientation in the graph, against Pillow's `exif_transpose`."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from kseg.export.serving.orientation import orientation_of, upright
from kseg.export.serving.signatures import decoded

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8)


def file(kind, orientation, endian="<", **settings):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A maker's name", orientation
    exif.endian = endian
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, kind, exif=exif, **settings)
    return out.getvalue()


def as_pillow_turns_it(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.full
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_files_are_turned_as_pillow_turns_them(kind, endian):
    function = tf.function(
        lambda data, size: decoded(data, (16, 24)) if size == 1 else decoded(data, (24, 16)), autograph=False
    )
    for orientation in range(10):
        data = file(kind, orientation, endian)
        expected = as_pillow_turns_it(data)
        found = function(tf.constant(data), 1 if expected.shape[0] == 16 else 2)
        np.testing.assert_allclose(found, expected, atol=2)


def read(data):
    return int(orientation_of(tf.constant(data), tf.constant(data[:4] == b"\x89PNG")))


def test_segments_before_exif_and_fill_bytes():
    data = file("JPEG", 6)
    comment = b"\xff\xfe" + (20).to_bytes(2, "big") + b"x" * 18
    other_app1 = b"\xff\xe1" + (30).to_bytes(2, "big") + b"http://ns.adobe.com/" + b"y" * 8
    assert read(data[:2] + comment + other_app1 + b"\xff\xff" + data[2:]) == 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_without_orientation_or_cut_short_is_upright(kind):
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, kind)
    assert read(out.getvalue()) == 1
    data = file(kind, 6)
    at = data.index(b"MM\0*" if b"MM\0*" in data else b"II*\0")
    for end in range(at, at + 40, 3):
        assert read(data[:end]) in (1, 6)


@pytest.mark.full
def test_bytes_changed_at_random_never_fail():
    rng = np.random.default_rng(1)
    for kind in ("PNG", "JPEG"):
        data = np.frombuffer(file(kind, 8), np.uint8)
        for _ in range(60):
            broken = data.copy()
            broken[rng.integers(4, 120, 4)] = rng.integers(0, 256, 4)
            assert 1 <= read(broken.tobytes()) <= 8


def test_turning_an_array():
    for orientation in range(1, 9):
        expected = as_pillow_turns_it(file("PNG", orientation))
        np.testing.assert_array_equal(upright(tf.constant(PIXELS), tf.constant(orientation)), expected)
