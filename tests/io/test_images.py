import struct

import cv2
import numpy as np
import pytest

from kseg.data import read_image, read_mask
from kseg.data.reading.files import image_size
from kseg.errors import DataError

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (15, 22, 3), dtype=np.uint8)  # RGB
JPEG_SETTINGS = [cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
SMOOTH = cv2.resize(RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8), (22, 15), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_lossless_colour_is_rgb_and_exact(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), COLOUR[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else [])
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, COLOUR)


def test_jpeg_is_near(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), SMOOTH[..., ::-1], JPEG_SETTINGS)
    np.testing.assert_allclose(read_image(tmp_path / "a.jpg").astype(int), SMOOTH.astype(int), atol=8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg"])
def test_grey_becomes_three_equal_channels(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), SMOOTH[..., 0])
    image = read_image(path)
    assert image.shape == (15, 22, 3)
    np.testing.assert_array_equal(image, np.repeat(image[..., :1], 3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_alpha_is_dropped(tmp_path, suffix):
    alpha = np.full((15, 22, 1), 255, np.uint8)
    alpha[:5] = 90
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.concatenate([COLOUR[..., ::-1], alpha], -1), [cv2.IMWRITE_WEBP_QUALITY, 101])
    np.testing.assert_array_equal(read_image(path), COLOUR)


def test_16_bits_are_scaled(tmp_path):
    values = np.array([[0, 65535, 257 * 100, 32768]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], [[0, 255, 100, 128]])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_opencv_applies_it(tmp_path, orientation):
    plain = cv2.imencode(".jpg", SMOOTH[..., ::-1], JPEG_SETTINGS)[1].tobytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    path = tmp_path / "a.jpg"
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    image = read_image(path)
    assert image.shape == expected.shape
    assert image_size(path) == expected.shape[:2]
    np.testing.assert_allclose(image.astype(int), expected.astype(int), atol=2)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
@pytest.mark.parametrize("keep", [0, 9, 0.5, -3])
def test_cut_files_are_refused_by_name(tmp_path, suffix, keep):
    data = cv2.imencode(suffix, COLOUR)[1].tobytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(DataError, match=rf"cut{suffix}: .*(empty|cut short|damaged)"):
        read_image(path)


def test_damaged_png_is_refused(tmp_path):
    data = bytearray(cv2.imencode(".png", COLOUR)[1].tobytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / "a.png").write_bytes(data)
    for reader in (read_image, read_mask):
        with pytest.raises(DataError, match=r"a\.png"):
            reader(tmp_path / "a.png")


def test_other_files_folders_and_absent_files_are_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"a\.png: not a PNG, JPEG, BMP, WebP, TIFF or GIF"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        read_image(tmp_path / "b.png")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_huge_picture_is_refused_from_its_header(tmp_path, write, reader):
    (tmp_path / "huge.png").write_bytes(write.huge_png(40000, 40000))
    with pytest.raises(DataError, match=r"huge\.png: 40000x40000 pixels.*not decoded"):
        reader(tmp_path / "huge.png")


def test_limit_counts_pixels(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), COLOUR)
    assert read_image(tmp_path / "a.png", max_pixels=15 * 22).shape == (15, 22, 3)
    with pytest.raises(DataError, match="limit"):
        read_image(tmp_path / "a.png", max_pixels=15 * 22 - 1)


def test_palette_picture_is_read_in_colours(tmp_path, write):
    values = np.array([[0, 1], [2, 0]], np.uint8)
    palette = [(10, 20, 30), (40, 50, 60), (70, 80, 90)]
    (tmp_path / "a.png").write_bytes(write.indexed_png(values, palette, 4))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.array(palette, np.uint8)[values])


@pytest.mark.parity
def test_rarer_kinds_against_pillow(tmp_path):
    """Grey with alpha, transparent grey and palette, one bit, CMYK."""
    pillow = pytest.importorskip("PIL.Image")
    values = RNG.integers(0, 12, (9, 13), dtype=np.uint8)
    colours = RNG.integers(0, 256, (12, 3), dtype=np.uint8)
    grey = pillow.fromarray(values)
    palette = pillow.fromarray(values)
    palette.putpalette(colours.tobytes())
    pillow.merge("LA", [grey, pillow.fromarray(255 - values)]).save(tmp_path / "alpha.png")
    grey.save(tmp_path / "transparent.png", transparency=3)
    palette.save(tmp_path / "palette.png", transparency=2)
    pillow.fromarray(values > 5).save(tmp_path / "bit.png")
    for name, expected in {
        "alpha": values,
        "transparent": values,
        "palette": values,
        "bit": values > 5,
    }.items():
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), expected)
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png"), colours[values])
    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png")[..., 1], values)
    print_colours = pillow.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
    print_colours.save(tmp_path / "cmyk.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "cmyk.jpg")[5, 5], [200, 100, 50], atol=2)
