"""Palette PNG: any reader sees the ids as indices and the palette as colours; files appear whole or not at
all."""

import cv2
import numpy as np
import pytest

from kseg.data.reading.files import read_mask
from kseg.errors import DataError, SettingsError
from kseg.visualize.palette import default_palette, palette_table, write_palette_png


def labels(height=7, width=13, high=256):
    return np.random.default_rng(0).integers(0, high, (height, width), dtype=np.uint8)


def test_default_palette_is_vocs():
    """Rows of VOCdevkit's colour map, as every VOC toolkit lists them."""
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    assert list(default_palette(7)) == expected
    assert default_palette(256)[255] == (224, 224, 192)
    assert default_palette(300)[256:] == default_palette(44)


@pytest.mark.parametrize("size", [(7, 13), (1, 1), (600, 3), (1, 999)])
def test_ids_come_back(size, tmp_path):
    written = labels(*size)
    write_palette_png(tmp_path / "mask.png", written, default_palette(5))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), written)


def test_other_readers_see_indices_and_colours(tmp_path):
    image = pytest.importorskip("PIL.Image")
    written, palette = labels(), [(9, 8, 7), (200, 100, 50), (1, 2, 3)]
    write_palette_png(tmp_path / "mask.png", written, palette)
    with image.open(tmp_path / "mask.png") as png:
        assert png.mode == "P"
        np.testing.assert_array_equal(np.asarray(png), written)
        assert png.getpalette()[:9] == [9, 8, 7, 200, 100, 50, 1, 2, 3]
    colours = cv2.imread(str(tmp_path / "mask.png"))[..., ::-1]
    np.testing.assert_array_equal(colours, palette_table(palette)[written])


@pytest.mark.parametrize("bad", [labels().astype(int), labels()[0], np.zeros((0, 4), np.uint8)])
def test_refused_labels(bad, tmp_path):
    with pytest.raises(DataError, match="uint8"):
        write_palette_png(tmp_path / "mask.png", bad)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [[(0, 0)], [(0, 0, 256)], [(0.5, 0, 0)], [(0, 0, 0)] * 257, []])
def test_refused_palettes(bad):
    with pytest.raises(SettingsError, match="palette"):
        palette_table(bad)
