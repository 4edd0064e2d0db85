import struct

import cv2
import numpy as np
import pytest
from kseg.data.reading.headers import png_chunks, read_header

IMAGE = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)


def encode(suffix, image=IMAGE, *settings):
    return cv2.imencode(suffix, image, list(settings))[1].tobytes()


@pytest.mark.parametrize(
    ("data", "kind", "lossless"),
    [
        (encode(".png"), "png", True),
        (encode(".jpg"), "jpeg", False),
        (encode(".jpg", IMAGE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "jpeg", False),
        (encode(".bmp"), "bmp", True),
        (encode(".webp", IMAGE, cv2.IMWRITE_WEBP_QUALITY, 60), "webp", False),
        (encode(".webp", IMAGE, cv2.IMWRITE_WEBP_QUALITY, 101), "webp", True),
    ],
)
def test_size_and_kind_of_what_opencv_writes(data, kind, lossless):
    header = read_header(data)
    assert (header.kind, header.height, header.width, header.lossless) == (kind, 13, 21, lossless)


def test_extended_webp():
    alpha = np.random.default_rng(1).integers(0, 256, (13, 21, 4), dtype=np.uint8)
    data = encode(".webp", alpha, cv2.IMWRITE_WEBP_QUALITY, 60)
    assert data[12:16] == b"VP8X"
    header = read_header(data)
    assert (header.height, header.width, header.lossless) == (13, 21, False)


def test_png_depth_and_palette(write):
    values = np.zeros((5, 7), np.uint8)
    assert read_header(encode(".png", IMAGE.astype(np.uint16) * 257)).bits == 16
    assert read_header(write.grey_png(values, bits=2)).bits == 2
    assert read_header(write.indexed_png(values, [(1, 2, 3)])).indexed
    assert not read_header(write.grey_png(values)).indexed


def test_top_down_bmp_has_a_negative_height():
    data = bytearray(encode(".bmp"))
    data[22:26] = struct.pack("<i", -13)
    assert read_header(bytes(data)).height == 13


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_every_cut_is_no_header_or_the_right_one(suffix):
    data = encode(suffix)
    whole = read_header(data)
    for length in range(min(len(data), 700)):
        assert read_header(data[:length]) in (None, whole)
    assert read_header(data[:11]) is None


def test_other_files_are_none():
    assert read_header(b"") is None
    assert read_header(b"GIF89a" + bytes(40)) is None
    assert read_header(b"\x89PNG\r\n\x1a\n" + bytes(40)) is None


def test_png_chunks_are_named_and_whole(write):
    data = write.indexed_png(np.zeros((5, 7), np.uint8), [(1, 2, 3)])
    chunks = dict(png_chunks(data))
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert data[:8] + b"".join(chunks.values()) == data
