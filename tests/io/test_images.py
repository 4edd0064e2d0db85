import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from kseg.data import read_image, read_mask
from kseg.data.reading.files import image_size
from kseg.errors import DataError, KsegWarning

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


def saved(image, form, **settings):
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()


@pytest.mark.parametrize("order", ["II", "MM"])
@pytest.mark.parametrize("kind", [3, 4])  # SHORT and LONG
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_in_every_format_as_pillow_applies_it(form, orientation, order, kind):
    mark = {"II": "<", "MM": ">"}[order]
    value = struct.pack(
        mark + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,))
    )
    tiff = order.encode() + struct.pack(mark + "HIHHHI", 42, 8, 1, 0x0112, kind, 1) + value + bytes(4)
    data = saved(Image.fromarray(COLOUR), form, exif=b"Exif\0\0" + tiff if form == "JPEG" else tiff)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    np.testing.assert_array_equal(read_image(data), expected)
    assert image_size(data) == expected.shape[:2]


def tiff_of_16_bits(pixels, orientation):
    """An uncompressed TIFF (TIFF 6.0, section 2): header, pixels, three depths, then the tags."""
    height, width, channels = pixels.shape
    body = pixels.tobytes()
    depths = 8 + len(body)
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, depths),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
    ]
    tags += [(273, 4, 1, 8), (274, 3, 1, orientation), (277, 3, 1, channels), (278, 4, 1, height)]
    tags += [(279, 4, 1, len(body))]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return struct.pack("<2sHI", b"II", 42, depths + 6) + body + struct.pack("<3H", 16, 16, 16) + directory


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_orientation_of_tiff(orientation, depth):
    """Turned as cv2 and Pillow turn it, with 8 and with 16 bits a colour."""
    if depth == 8:
        data = saved(Image.fromarray(COLOUR), "TIFF", tiffinfo={0x0112: orientation})
    else:
        data = tiff_of_16_bits(COLOUR.astype(np.uint16) * 257, orientation)
    turns = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}
    expected = COLOUR.swapaxes(0, 1) if orientation >= 5 else COLOUR
    expected = np.flip(expected, turns.get(orientation, ()))
    np.testing.assert_array_equal(read_image(data), expected)
    assert image_size(data) == expected.shape[:2]


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_fewer_bits_in_a_16_bit_file_are_refused(form, bits):
    values = RNG.integers(0, 1 << bits, (9, 13), dtype=np.uint16)
    values[0, 0] = (1 << bits) - 1
    with pytest.raises(DataError, match=rf"highest value is {values[0, 0]} of 65535: {bits}-bit data"):
        read_image(saved(Image.fromarray(values), form))
    scaled = read_image(saved(Image.fromarray(values << (16 - bits)), form))
    np.testing.assert_array_equal(scaled[..., 0], np.round((values << (16 - bits)) / 257))


def test_colours_of_12_bits_are_refused_and_14_bits_are_told():
    values = RNG.integers(0, 4096, (9, 13, 3), dtype=np.uint16)
    with pytest.raises(DataError, match="12-bit data"):
        read_image(cv2.imencode(".png", values)[1].tobytes())
    with pytest.warns(KsegWarning, match="14-bit data, multiply the values by 4"):
        read_image(cv2.imencode(".png", values * 4)[1].tobytes())
    assert read_image(cv2.imencode(".png", values * 0)[1].tobytes()).max() == 0  # black is black


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_of_unknown_range_are_refused(dtype):
    with pytest.raises(DataError, match=f"holds {np.dtype(dtype)} values, whose range"):
        read_image(saved(Image.fromarray(np.ones((3, 4), dtype)), "TIFF"))


def test_several_images_of_a_phone_in_one_jpeg():
    """MPO: the first is the photograph, the others are depth or the second eye."""
    data = saved(Image.fromarray(COLOUR), "MPO", save_all=True, append_images=[Image.fromarray(255 - COLOUR)])
    np.testing.assert_array_equal(read_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.realdata
def test_real_images_are_what_opencv_and_tensorflow_read(real_data):
    """JPEG and PNG, pixel by pixel."""
    import tensorflow as tf

    files = sorted(real_data.rglob("*.jpg"))[::40] + sorted(real_data.rglob("*.png"))[::200]
    assert len(files) > 100
    for path in files:
        image = read_image(path)
        np.testing.assert_array_equal(image, cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1], str(path))
        if path.suffix == ".jpg":
            data = path.read_bytes()
            decoded = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
            np.testing.assert_array_equal(image, decoded, str(path))
