import io

import numpy as np
import pytest
from PIL import Image

from kseg.io.formats.jpeg import Damage, check_complete, check_size, check_zeros, read_frame

RNG = np.random.default_rng(0)
IMAGE = Image.fromarray(RNG.integers(0, 256, (45, 77, 3), dtype=np.uint8))


def jpeg(image=IMAGE, **settings):
    file = io.BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_frame_is_what_pillow_reads(subsampling, progressive):
    data = jpeg(subsampling=subsampling, progressive=progressive)
    frame, opened = read_frame(data), Image.open(io.BytesIO(data))
    assert (frame.width, frame.height) == opened.size
    assert frame.sampling == [layer[1:3] for layer in opened.layer]
    assert frame.simple is not progressive
    assert frame.ended
    check_size(frame)
    check_complete(frame)


def test_blocks_and_units_of_subsampled_colours():
    frame = read_frame(jpeg(subsampling=2))  # 4:2:0: 45 rows are 6 blocks of grey, 23 are 3 of colour
    assert [frame.blocks(c) for c in range(3)] == [(6, 10), (3, 5), (3, 5)]
    assert frame.units() == (3, 5)


def test_a_size_that_the_data_cannot_hold():
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (7000).to_bytes(2, "big") * 2
    with pytest.raises(Damage, match="7000x7000 pixels need more than"):
        check_size(read_frame(bytes(data)))
    flat = jpeg(Image.new("RGB", (640, 480)), quality=30, optimize=True)
    check_size(read_frame(flat))  # as small as JPEG gets


def test_zeros_that_no_encoder_writes():
    data = bytearray(jpeg())
    check_zeros(bytes(data), read_frame(bytes(data)))
    middle = len(data) * 2 // 3
    data[middle : middle + 16] = bytes(16)
    with pytest.raises(Damage, match=f"zeros in its compressed data, from byte {middle}"):
        check_zeros(bytes(data), read_frame(bytes(data)))
    flat = jpeg(Image.new("L", (640, 480), 128), optimize=True)
    assert bytes(16) in flat  # here they mean "like the block before"
    check_zeros(flat, read_frame(flat))


def test_scans_that_are_missing():
    data = jpeg(progressive=True)
    starts = [scan.start for scan in read_frame(data).scans]
    for start in starts[1:]:
        cut = data[: data.rindex(b"\xff\xda", 0, start)] + b"\xff\xd9"
        with pytest.raises(Damage, match="scans are missing"):
            check_complete(read_frame(cut))


def test_headers_cut_short_or_damaged():
    data = jpeg()
    start = read_frame(data).scans[0].start
    for length in range(2, start, 7):
        with pytest.raises(Damage, match=r"headers|begins"):
            read_frame(data[:length])
    with pytest.raises(Damage, match="ends before"):
        read_frame(data[:2] + b"\xff\xd9")
    assert not read_frame(data[:-2]).ended


def test_a_file_made_of_scans():
    data = jpeg(Image.new("L", (8, 8)))
    start = data.index(b"\xff\xda")
    scan = data[start:-2]
    with pytest.raises(Damage, match="more than 500 scans"):
        read_frame(data[:start] + scan * 501 + b"\xff\xd9")
