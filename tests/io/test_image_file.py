import io
import os

import numpy as np
import pytest
from PIL import Image

from kseg.errors import DataError
from kseg.io.formats.jpeg import Damage
from kseg.io.image_file import image_kind, load_jpeg, open_image

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (15, 22, 3), dtype=np.uint8))


def encoded(form, image=IMAGE, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_kind_and_size_from_the_bytes_alone(form, tmp_path):
    data = encoded(form)
    file = open_image(data, name="a picture")
    assert (file.name, file.kind, file.height, file.width) == ("a picture", form.lower(), 15, 22)
    assert image_kind(data) == form.lower()
    (tmp_path / "misnamed.txt").write_bytes(data)
    assert open_image(tmp_path / "misnamed.txt").kind == form.lower()


@pytest.mark.parametrize("data", [b"", b"no image", b"RIFF" + bytes(20), b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_other_bytes(data):
    with pytest.raises(DataError, match=r"^x\.png: "):
        open_image(data, name="x.png")


@pytest.mark.parametrize(
    ("form", "settings", "lossless"),
    [
        ("PNG", {}, True),
        ("JPEG", {}, False),
        ("WEBP", {}, False),
        ("WEBP", {"lossless": True}, True),
        ("TIFF", {"compression": "jpeg"}, False),
        ("TIFF", {"compression": "tiff_lzw"}, True),
        ("GIF", {}, True),
    ],
)
def test_lossless(form, settings, lossless):
    assert open_image(encoded(form, **settings)).lossless is lossless


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "GIF"])
def test_animations_and_pages(form):
    data = encoded(form, save_all=True, append_images=[IMAGE.transpose(Image.Transpose.ROTATE_180)])
    with pytest.raises(DataError, match="2 images in one file"):
        open_image(data)


def test_the_limit_needs_no_room(tmp_path, write):
    with pytest.raises(DataError, match="30000x30000 pixels are more than the limit of 50,000,000"):
        open_image(write.huge_png(30_000, 30_000))
    assert open_image(encoded("PNG"), 15 * 22).width == 22
    with pytest.raises(DataError, match="limit of 329"):
        open_image(encoded("PNG"), 15 * 22 - 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="not a regular file"):
        open_image(tmp_path / "pipe.png")


@pytest.mark.parametrize(
    "settings", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"optimize": True}]
)
def test_jpegs_are_loaded_whole_or_not_at_all(settings):
    data = encoded("JPEG", **settings)
    file = open_image(data)
    load_jpeg(file)
    np.testing.assert_array_equal(np.asarray(file.opened), np.asarray(Image.open(io.BytesIO(data))))
    with pytest.raises(Damage):
        load_jpeg(open_image(data[:-2]))
