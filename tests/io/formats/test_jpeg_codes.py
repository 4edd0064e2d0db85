"""Every sound file passes, whatever its tables, sampling, scans and restart markers; damaged ones do not."""

import io

import numpy as np
import pytest
from PIL import Image

from kseg.io.formats.jpeg import Damage, read_frame
from kseg.io.formats.jpeg_codes import check_scans

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (70, 93, 3), dtype=np.uint8))
SMOOTH = Image.fromarray(RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
    (93, 70), Image.Resampling.BICUBIC
)
SETTINGS = [
    {},
    {"subsampling": 0, "quality": 97},
    {"subsampling": 1, "optimize": True, "quality": 40},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3, "subsampling": 2},
    {"progressive": True},
    {"progressive": True, "quality": 98, "subsampling": 0},
    {"progressive": True, "restart_marker_rows": 2},
]


def jpeg(image, settings):
    file = io.BytesIO()
    image.save(file, "JPEG", **settings)
    return file.getvalue()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("image", [NOISE, SMOOTH, NOISE.convert("L"), SMOOTH.crop((0, 0, 8, 9))])
def test_sound_files_pass(image, settings):
    data = jpeg(image, settings)
    check_scans(data, read_frame(data))


@pytest.mark.parametrize("settings", SETTINGS)
def test_what_is_removed_from_the_middle_is_noticed(settings):
    data = jpeg(NOISE, settings)
    frame = read_frame(data)
    scan = max(frame.scans, key=lambda scan: scan.stop - scan.start)
    middle = (scan.start + scan.stop) // 2
    damaged = data[:middle] + data[middle + (scan.stop - scan.start) // 5 :]
    with pytest.raises(Damage):
        check_scans(damaged, read_frame(damaged))


@pytest.mark.parametrize("settings", SETTINGS[:5])
def test_cut_and_ended(settings):
    data = jpeg(SMOOTH, settings)
    scan = read_frame(data).scans[0]
    cut = data[: scan.start + (scan.stop - scan.start) // 2].rstrip(b"\xff") + b"\xff\xd9"
    with pytest.raises(Damage):
        check_scans(cut, read_frame(cut))


def test_restart_markers_out_of_order():
    data = jpeg(SMOOTH, {"restart_marker_blocks": 3})
    swapped = data.replace(b"\xff\xd1", b"\xff\xd2")
    with pytest.raises(Damage, match="out of order"):
        check_scans(swapped, read_frame(swapped))
