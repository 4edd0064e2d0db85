"""Records in image files: other readers see the same pixels, and the image that a result belongs to is known."""

import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kseg.io.origin import Origin, is_whole, read_origin, with_origin

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)


def encoded(kind):
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, kind)
    return data.getvalue()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "in" / os.fsdecode(b"caf\xe9.png")
    path.parent.mkdir()
    path.write_bytes(encoded("PNG"))
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_record_comes_back_and_the_pixels_are_the_same(tmp_path, image, kind):
    origin = Origin.of(image, "model", (20, 30))
    path, plain = tmp_path / "a", encoded(kind)
    path.write_bytes(with_origin(plain, origin))
    assert read_origin(path) == origin
    np.testing.assert_array_equal(Image.open(path), Image.open(io.BytesIO(plain)))
    assert is_whole(path, (20, 30))
    assert not is_whole(path, (30, 20))


def test_what_an_image_is_recognised_by(tmp_path, image):
    origin = Origin.of(image)
    assert origin.is_of(image)
    other = tmp_path / "other.png"
    other.write_bytes(image.read_bytes())
    assert origin.is_of(other)  # moved or copied
    os.utime(image, (1, 1))
    assert origin.is_of(image)
    changed = bytearray(image.read_bytes())
    changed[-1] ^= 1
    other.write_bytes(changed)
    os.utime(other, ns=(origin.mtime_ns, origin.mtime_ns))
    assert not origin.is_of(other)
    assert replace(origin, made_by="x") != origin


@pytest.mark.parametrize(
    "data", [b"", b"text", encoded("PNG"), encoded("JPEG"), encoded("PNG")[:40], b"\xff\xd8\xff\xfe"]
)
def test_files_without_a_record(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert read_origin(tmp_path / "a") is None


def test_records_made_to_deceive(tmp_path, image):
    plain = with_origin(encoded("PNG"), Origin.of(image))
    for change in ((b'"size": [0, 0]', b'"size": 12345678'), (b'"bytes"', b'"bites"'), (b"{", b"[")):
        assert change[0] in plain
        (tmp_path / "a").write_bytes(plain.replace(*change))
        assert read_origin(tmp_path / "a") is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_files_that_are_cut_are_not_whole(tmp_path, kind):
    data, path = encoded(kind), tmp_path / "a"
    for length in range(0, len(data) - 12, 7):
        path.write_bytes(data[:length])
        assert not is_whole(path), length
