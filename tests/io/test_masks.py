import io

import cv2
import numpy as np
import pytest
from PIL import Image

from kseg.data import read_mask
from kseg.data.reading.files import png_palette
from kseg.errors import DataError
from kseg.io.masks import only_white

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


LUT = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]], np.uint8)
DECLARED = tuple((tuple(map(int, colour)), index) for index, colour in enumerate(LUT))
IDS = ((np.mgrid[:40, :50][1] // 9 + np.mgrid[:40, :50][0] // 11) % 5).astype(np.uint8)


def encoded(image, form="PNG", **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "TIFF"])
def test_indexed_masks_are_looked_up_by_their_declared_colours(form):
    """Programs that save colours with a palette choose the indices as they like."""
    indexed = Image.fromarray(LUT[IDS]).quantize(16)
    assert (np.asarray(indexed) != IDS).mean() > 0.5
    np.testing.assert_array_equal(read_mask(encoded(indexed, form), colours=DECLARED), IDS)


def test_a_palette_that_is_not_declared():
    """VOC's colours and greys like their index show ids; other colours that were not declared are refused."""
    indexed = Image.fromarray(IDS)
    voc = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    for palette in (voc, [(i, i, i) for i in range(5)]):
        indexed.putpalette(bytes(np.array(palette, np.uint8)))
        np.testing.assert_array_equal(read_mask(encoded(indexed), colours=DECLARED), IDS)
    indexed.putpalette(bytes(np.array([(9, 9, 9), (80, 0, 0), (0, 80, 0), (7, 0, 80), (3, 3, 80)], np.uint8)))
    with pytest.raises(DataError, match=r"5 colour.s. that belong to no class, such as \(9, 9, 9\)"):
        read_mask(encoded(indexed), colours=DECLARED)
    np.testing.assert_array_equal(read_mask(encoded(indexed)), IDS)


@pytest.mark.parametrize(
    ("values", "colours", "expected"),
    [
        ([0, 255], (((0, 0, 0), 0), ((255, 255, 255), 1)), [0, 1]),  # the declared colour wins over "ignored"
        (
            [0, 1, 255],
            (((0, 0, 0), 0), ((255, 255, 255), 2), ((9, 9, 9), 1)),
            [0, 1, 255],
        ),  # 1 is no colour: ids
        ([0, 100, 200], (((0, 0, 0), 0), ((100, 100, 100), 1), ((200, 200, 200), 2)), [0, 1, 2]),
        ([0, 1, 2], (((0, 0, 0), 0), ((100, 0, 0), 1), ((0, 200, 0), 2)), [0, 1, 2]),
        ([0, 1], (((0, 0, 0), 1), ((64, 0, 0), 0)), [0, 1]),  # CamVid's Void is black and not id 0
        ([0], (((0, 0, 0), 1), ((64, 0, 0), 0)), None),  # ... and here nobody can tell
        ([0, 7], (((0, 0, 0), 0), ((64, 0, 0), 1)), None),
    ],
)
def test_grey_values_are_ids_or_declared_colours(values, colours, expected):
    data = encoded(Image.fromarray(np.array([values], np.uint8)))
    if expected is None:
        with pytest.raises(DataError, match="grey values"):
            read_mask(data, colours=colours)
    else:
        np.testing.assert_array_equal(read_mask(data, colours=colours), [expected])


def test_a_channel_with_content_is_never_dropped():
    ids = Image.fromarray(IDS)
    varied = Image.fromarray(255 - IDS)
    for image in (
        Image.merge("LA", [ids, varied]),
        Image.merge("RGBA", [ids, ids, ids, varied]),
        Image.merge("RGB", [ids, ids, varied]),
        Image.merge("RGB", [ids, Image.new("L", ids.size), Image.new("L", ids.size)]),
    ):
        with pytest.raises(DataError, match=r"alpha channel|mask in colours"):
            read_mask(encoded(image))
    opaque = Image.new("L", ids.size, 255)
    np.testing.assert_array_equal(read_mask(encoded(Image.merge("RGBA", [ids, ids, ids, opaque]))), IDS)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (IDS.astype(np.float32) / 2, "fractions"),
        (np.full((2, 2), np.nan, np.float32), "fractions or no numbers"),
        (IDS.astype(np.int32) - 1, "class id -1"),
        (IDS.astype(np.int32) + 300, "class id 304"),
    ],
)
def test_values_that_are_no_ids(array, says):
    with pytest.raises(DataError, match=says):
        read_mask(encoded(Image.fromarray(array), "TIFF"))


def test_ids_that_were_stretched_to_16_bits():
    with pytest.raises(DataError, match=r"class id 1028 in the mask \(id 4, stretched to 16 bits\?\)"):
        read_mask(encoded(Image.fromarray(IDS.astype(np.uint16) * 257)))


def test_ids_in_three_equal_channels_are_ids_where_colours_are_declared():
    """As WebP, which has no grey, stores the same mask that PNG stores in one channel."""
    colours = (((0, 0, 0), 0), ((100, 0, 0), 1), ((0, 200, 0), 2), ((9, 9, 90), 3), ((1, 1, 7), 4))
    grey = Image.fromarray(IDS)
    for form, settings in (("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(Image.merge("RGB", [grey] * 3), form, **settings)
        np.testing.assert_array_equal(read_mask(data, colours=colours), IDS)
    np.testing.assert_array_equal(read_mask(encoded(grey), colours=colours), IDS)


def test_black_and_white_masks_are_told_from_ids_and_read_no_further():
    black, white, ids = (np.array([row], np.uint8) for row in ([0, 0], [0, 255], [1, 255]))
    assert only_white([black, white])
    assert not only_white([black, black])
    assert not only_white([])
    rest = iter([white, ids, white])
    assert not only_white(rest)
    assert len(list(rest)) == 1
