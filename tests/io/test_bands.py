"""Images of any channels against NumPy's and Pillow's own writers."""

import io

import numpy as np
import pytest
from PIL import Image

from kseg.errors import DataError
from kseg.io.bands import as_bands, read_bands, resized, shown

RANGE = (0, 65535)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 65536, (5, 7, 6)).astype(np.uint16)


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def test_numpy_files(image, tmp_path):
    np.save(tmp_path / "a.npy", image)
    np.savez_compressed(tmp_path / "b.npz", image=image)
    np.savez(tmp_path / "c.npz", **{f"band{i}": image[..., i] for i in range(6)})
    for path in tmp_path.iterdir():
        found = read_bands(path, 6, RANGE)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, image)
    np.testing.assert_array_equal(read_bands(npy(image), 6, RANGE), image)


def test_pages_of_a_tiff(image, tmp_path):
    pages = [Image.fromarray(image[..., band]) for band in range(6)]
    for compression in (None, "tiff_lzw"):
        pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression=compression)
        np.testing.assert_array_equal(read_bands(tmp_path / "a.tif", 6, RANGE), image)
    pages[1] = pages[1].crop((0, 0, 3, 3))
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="pages differ in size"):
        read_bands(tmp_path / "a.tif", 6, RANGE)


def test_png_and_jpeg(image, tmp_path):
    eight = (image >> 8).astype(np.uint8)
    for channels in (1, 3, 4):
        Image.fromarray(eight[..., :channels].squeeze()).save(tmp_path / "a.png")
        np.testing.assert_array_equal(read_bands(tmp_path / "a.png", channels), eight[..., :channels])
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_bands(tmp_path / "a.png", 1, RANGE), image[..., :1])
    with pytest.raises(DataError, match=r"a.png: an image of shape \(5, 7\); expected \(height, width, 6\)"):
        read_bands(tmp_path / "a.png", 6, RANGE)


@pytest.mark.parametrize(
    ("array", "value_range", "dtype"),
    [
        (np.full((2, 3, 4), 200, np.int64), (0, 255), np.uint8),
        (np.full((2, 3, 4), 7.6), (0, 255), np.uint8),
        (np.full((2, 3, 4), 200, np.uint8), (0, 65535), np.uint8),
        (np.full((2, 3, 4), -0.5), (-1, 1), np.float32),
        (np.full((2, 3, 4), -300, np.int16), (-500, 9000), np.float32),
    ],
)
def test_types(array, value_range, dtype):
    found = as_bands(array, "x", 4, value_range)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.round(array) if dtype == np.uint8 else array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((6, 4, 5)), r"x: an image of shape \(6, 4, 5\); .*channels come last"),
        (np.zeros((4, 5, 3)), r"expected \(height, width, 6\)"),
        (np.zeros((4, 5, 6), bool), "an image of bool"),
        (np.full((4, 5, 6), np.nan), "NaN"),
        (np.full((4, 5, 6), 0.5), "values from 0 to 1"),
        (np.full((4, 5, 6), 70000), "values from 70000 to 70000; expected 0 to 65535"),
        (np.full((4, 5, 6), -1), "values from -1 to -1"),
    ],
)
def test_what_is_no_such_image(array, message):
    with pytest.raises(DataError, match=message):
        as_bands(array, "x", 6, RANGE)


def test_files_that_lie(image, tmp_path):
    content = npy(image)
    lying = content.replace(b"(5, 7, 6)", b"(5, 9, 6)")
    for bad in (content[:-3], lying, b"PK\x03\x04" + content, npy(np.array([{}]))):
        (tmp_path / "a.npy").write_bytes(bad)
        with pytest.raises(DataError, match=r"a\.npy"):
            read_bands(tmp_path / "a.npy", 6, RANGE)
    with pytest.raises(DataError, match="more than the limit"):
        read_bands(content, 6, RANGE, max_pixels=20)


def test_as_a_person_sees_it(image):
    np.testing.assert_array_equal(shown(image, RANGE), np.round(image[..., :3] / 257).astype(np.uint8))
    grey = shown(image[..., :1], RANGE)
    np.testing.assert_array_equal(grey, np.repeat(np.round(image[..., :1] / 257), 3, -1).astype(np.uint8))
    eight = (image >> 8).astype(np.uint8)
    np.testing.assert_array_equal(shown(eight), eight[..., :3])


def test_resizing_takes_any_number_of_channels():
    import cv2

    image = np.random.default_rng(0).random((8, 10, 7)).astype(np.float32)
    found = resized(image, (4, 5), cv2.INTER_AREA)
    np.testing.assert_allclose(found, image.reshape(4, 2, 5, 2, 7).mean((1, 3)), rtol=1e-5)
    assert resized(image[..., :1], (3, 4), cv2.INTER_LINEAR).shape == (3, 4, 1)
