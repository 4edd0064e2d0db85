import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from kseg.io.formats.headers import check_png, orientation_of, png_chunks, webp_frame

IMAGE = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)


def encode(suffix, image=IMAGE, *settings):
    return cv2.imencode(suffix, image, list(settings))[1].tobytes()


@pytest.mark.parametrize(("quality", "lossless"), [(60, False), (101, True)])
def test_webp_size_and_compression(quality, lossless):
    frame = webp_frame(encode(".webp", IMAGE, cv2.IMWRITE_WEBP_QUALITY, quality))
    assert (frame.height, frame.width, frame.lossless) == (13, 21, lossless)


def test_extended_webp():
    alpha = np.random.default_rng(1).integers(0, 256, (13, 21, 4), dtype=np.uint8)
    data = encode(".webp", alpha, cv2.IMWRITE_WEBP_QUALITY, 60)
    assert data[12:16] == b"VP8X"
    frame = webp_frame(data)
    assert (frame.height, frame.width, frame.lossless) == (13, 21, False)


def test_every_cut_webp_has_no_frame_or_the_right_one():
    data = encode(".webp")
    whole = webp_frame(data)
    for length in range(len(data)):
        try:
            assert webp_frame(data[:length]) == whole
        except (ValueError, struct.error):
            assert length < 30


def test_png_chunks_are_named_and_whole(write):
    data = write.indexed_png(np.zeros((5, 7), np.uint8), [(1, 2, 3)])
    chunks = dict(png_chunks(data))
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    assert data[:8] + b"".join(chunks.values()) == data
    check_png(data)


def test_a_png_without_end_or_with_a_wrong_checksum(write):
    data = write.grey_png(np.zeros((5, 7), np.uint8))
    for wrong in (data[:-12], data[:-1], data[:43] + b"x" + data[44:]):
        with pytest.raises(ValueError, match=r"no end|checksum"):
            check_png(wrong)


def test_orientation_of_a_png_decodes_no_pixels(write, monkeypatch):
    """Nor does a picture that claims 100 megapixels take the memory of one; texts behind the pixels count too."""
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    data = write.huge_png(10_000, 10_000)
    assert orientation_of(Image.open(io.BytesIO(data)), data) == 1
    text = b"tEXtXML:com.adobe.xmp\0<x tiff:Orientation=\"6\"/>"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    late = data[:-12] + chunk + data[-12:]
    assert orientation_of(Image.open(io.BytesIO(late)), late) == 6


def test_orientation_wherever_it_is_written():
    """Big and little endian, SHORT and LONG, before and behind the pixels; what is damaged counts as upright."""
    for order, mark in (("<", b"II"), (">", b"MM")):
        for kind, value in ((3, struct.pack(order + "HH", 6, 0)), (4, struct.pack(order + "I", 6))):
            tiff = mark + struct.pack(order + "HIHHHI", 42, 8, 1, 0x0112, kind, 1) + value + bytes(4)
            file = io.BytesIO()
            Image.fromarray(IMAGE).save(file, "PNG", exif=tiff)
            data = file.getvalue()
            assert orientation_of(Image.open(io.BytesIO(data)), data) == 6
            chunks = [chunk for name, chunk in png_chunks(data) if name != b"eXIf"]
            late = (
                struct.pack(">I", len(tiff)) + b"eXIf" + tiff + struct.pack(">I", zlib.crc32(b"eXIf" + tiff))
            )
            data = data[:8] + b"".join([*chunks[:-1], late, chunks[-1]])
            assert orientation_of(Image.open(io.BytesIO(data)), data) == 6
            for damaged in (tiff[:12], b"XX" + tiff[2:], tiff.replace(b"\x06", b"\x09")):
                file = io.BytesIO()
                Image.fromarray(IMAGE).save(file, "PNG", exif=damaged)
                assert orientation_of(Image.open(file), file.getvalue()) == 1
