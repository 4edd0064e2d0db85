"""Times, shapes and names of videos, against files that PyAV (FFmpeg itself) writes and reads."""

import os
import shutil
from fractions import Fraction

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.io.video import VideoReader, opened
from kseg.io.video_file import VideoFile

av = pytest.importorskip("av")

SHAPE = (48, 64)
ODD = [0, *range(20, 400, 20), *range(580, 4400, 200)]  # 40 frames: 20 ms apart, then 200 ms


def clip(path, times, codec="libx264", sar=None, turned=0):
    """A video whose frame number n has grey level 5 n and is shown at ``times[n]`` milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=50)
        stream.height, stream.width = SHAPE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if sar is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(*sar)
        for number, time in enumerate(times):
            image = np.full((*SHAPE, 3), number * 5 % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def seconds(frames, fps):
    return [frame.place / fps for frame in frames]


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov", "webm"])
def test_uneven_times_are_kept(tmp_path, ending):
    path = clip(tmp_path / f"a.{ending}", ODD, "libvpx" if ending == "webm" else "libx264")
    reader = VideoReader(path)
    frames = list(reader)
    assert (len(frames), reader.uneven, reader.fps) == (40, True, 50)
    np.testing.assert_allclose(seconds(frames, reader.fps), np.array(ODD) / 1000, atol=1e-3)
    assert (
        4.38 <= reader.duration / reader.fps <= 4.58
    )  # how long the last one lasts, the formats say differently
    levels = [frame.image.mean() for frame in frames]
    np.testing.assert_allclose(levels, np.arange(40) * 5, atol=4)


@pytest.mark.parametrize(
    ("times", "fps"),
    [
        ([40 * n for n in range(30)], 25),
        ([round(n * 1001 / 30) for n in range(90)], 29.97),
        ([round(n * 1001 / 24) for n in range(72)], 23.976),
        ([1000 * n for n in range(5)], 1),
        ([8 * n for n in range(60)], 125),
    ],
)
def test_even_times_are_not_touched(tmp_path, times, fps):
    reader = VideoReader(clip(tmp_path / "a.mkv", times))
    frames = list(reader)
    assert [frame.place for frame in frames] == [frame.number for frame in frames] == list(range(len(times)))
    assert not reader.uneven
    assert reader.fps == pytest.approx(fps, rel=2e-3)


def test_frames_that_a_recorder_left_out_are_held(tmp_path):
    """30 frames a second of which the recorder dropped a third."""
    times = [round(n * 1000 / 30) for n in range(90) if n % 7 and n % 5 != 1]
    times = [time - times[0] for time in times]
    reader = VideoReader(clip(tmp_path / "a.mp4", times))
    frames = list(reader)
    assert reader.fps == pytest.approx(30, rel=1e-3)
    np.testing.assert_allclose(seconds(frames, reader.fps), np.array(times) / 1000, atol=0.02)


def test_pixels_that_are_not_square(tmp_path):
    wide = VideoReader(clip(tmp_path / "a.mp4", [0, 40, 80], sar=(64, 45)))
    frame = next(iter(wide))
    assert (frame.stored, frame.image.shape) == (SHAPE, (48, round(64 * 64 / 45), 3))
    tall = VideoReader(clip(tmp_path / "b.mkv", [0, 40, 80], sar=(10, 11)))
    assert next(iter(tall)).image.shape == (round(48 * 11 / 10), 64, 3)
    square = VideoReader(clip(tmp_path / "c.mkv", [0, 40, 80], sar=(1, 1)))
    assert next(iter(square)).image.shape[:2] == SHAPE


def rotated(path, degrees):
    """Set the display matrix in the header of an MP4's track, as phones do."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 0x10000
    values = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0), 270: (0, -one, 0, one, 0, 0)}[
        degrees
    ]
    packed = b"".join(int(value).to_bytes(4, "big", signed=True) for value in values)
    data[matrix : matrix + 24] = packed
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_phones_that_were_turned(tmp_path, degrees):
    path = rotated(clip(tmp_path / "a.mp4", [0, 40, 80], sar=(64, 45)), degrees)
    frame = next(iter(VideoReader(path)))
    turned = degrees != 180
    assert frame.stored == (SHAPE[::-1] if turned else SHAPE)
    assert frame.image.shape[:2] == ((91, 48) if turned else (48, 91))


def test_time_stamps_that_jump_are_not_believed(tmp_path):
    reader = VideoReader(clip(tmp_path / "a.mkv", [0, 20, 40, 60, 10_000_000, 10_000_020]))
    assert not reader.timed
    assert [frame.place for frame in reader] == list(range(6))


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"\xff/plain.mp4", "界".encode() * 80 + b".mp4"])
def test_names_of_every_kind(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    shutil.copy(clip(tmp_path / "a.mp4", [0, 40, 80]), path)
    assert len(list(VideoReader(path))) == 3
    file = VideoFile(path, 25)
    for _ in range(4):
        file.write(np.zeros((*SHAPE, 3), np.uint8))
    file.close()
    assert len(list(VideoReader(path))) == 4
    assert list(path.parent.glob(".*")) == []


def test_what_is_no_video(tmp_path):
    with pytest.raises(DataError, match="no such video"):
        opened(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(DataError, match="not a video"):
        opened(tmp_path / "text.mp4")
