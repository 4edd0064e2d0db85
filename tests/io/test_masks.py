import cv2
import numpy as np
import pytest

from kseg.data import read_mask
from kseg.data.reading.files import png_palette
from kseg.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (15, 22, 3), dtype=np.uint8)  # RGB


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_mask_gives_its_indices_whatever_the_colours(tmp_path, write, bits):
    values = RNG.integers(0, min(2**bits, 21), (9, 13), dtype=np.uint8)
    palette = [(7, 7, 7)] * 2**bits  # equal colours: only the indices tell the classes apart
    path = tmp_path / "m.png"
    path.write_bytes(write.indexed_png(values, palette, bits))
    np.testing.assert_array_equal(read_mask(path), values)
    assert png_palette(path) == bytes([7]) * 3 * 2**bits


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_mask_gives_its_values(tmp_path, write, bits):
    values = RNG.integers(0, 2**bits, (9, 13), dtype=np.uint8)
    (tmp_path / "m.png").write_bytes(write.grey_png(values, bits))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), values)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_three_equal_channels_are_ids(tmp_path, suffix):
    values = RNG.integers(0, 12, (9, 13), dtype=np.uint8)
    path = tmp_path / f"m{suffix}"
    cv2.imwrite(str(path), np.repeat(values[..., None], 3, -1), [cv2.IMWRITE_WEBP_QUALITY, 101])
    np.testing.assert_array_equal(read_mask(path), values)


def test_16_bit_mask_with_small_ids(tmp_path):
    values = RNG.integers(0, 256, (9, 13), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "m.png"), values)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), values)
    cv2.imwrite(str(tmp_path / "m.png"), values + 1000)
    with pytest.raises(DataError, match=r"m\.png: class id 12\d\d"):
        read_mask(tmp_path / "m.png")


def test_colour_mask_needs_colours(tmp_path):
    values = np.array([[0, 1, 2], [2, 1, 255]])
    colours = [((10, 20, 30), 0), ((200, 0, 0), 1), ((0, 0, 0), 2), ((255, 255, 255), 255)]
    picture = np.zeros((2, 3, 3), np.uint8)
    for colour, label in colours:
        picture[values == label] = colour
    path = tmp_path / "m.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    np.testing.assert_array_equal(read_mask(path, colours=colours), values)
    with pytest.raises(DataError, match=r"m\.png: a mask in colours.*indexed or grey PNG"):
        read_mask(path)
    with pytest.raises(DataError, match=r"no class, such as \(255, 255, 255\)"):
        read_mask(path, colours=colours[:-1])


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_mask_is_refused(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"m{suffix}"), np.zeros((9, 13), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 80])
    with pytest.raises(DataError, match="lossy"):
        read_mask(tmp_path / f"m{suffix}")


@pytest.mark.realdata
def test_voc_palette_masks_against_pillow(real_data):
    pillow = pytest.importorskip("PIL.Image")
    masks = sorted((real_data / "voc_people/VOCdevkit/VOC2012/SegmentationClass").glob("*.png"))[::20]
    assert len(masks) > 20
    for path in masks:
        with pillow.open(path) as file:
            assert file.mode == "P"
            np.testing.assert_array_equal(read_mask(path), np.array(file))
