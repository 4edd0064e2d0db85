import os
import time
from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from kseg.errors import DataError, SettingsError
from kseg.webcam.source import Live, Synthetic, check_opens, opener


def clip(path, count=5, size=(32, 48), fps=20):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size[::-1])
    for number in range(count):
        writer.write(np.full((*size, 3), (40 * number + 20) % 256, np.uint8))
    writer.release()
    return path


def all_of(source):
    found = []
    while (frame := source.read()) is not None:
        found.append(frame)
    return found


def test_videos_give_every_frame(tmp_path):
    source = opener(str(clip(tmp_path / "a.avi")))()
    check_opens("a.avi", source)
    frames = all_of(source)
    assert [int(f.mean().round(-1)) for f in frames] == [20, 60, 100, 140, 180]
    assert (source.live, source.fps, source.count) == (False, 20, 5)


def test_folders_give_their_pictures_by_name_and_pass_over_broken_ones(tmp_path):
    for name, value in (("b", 100), ("a", 50)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((8, 8, 3), value, np.uint8))
    (tmp_path / "aa.png").write_text("broken")
    source = opener(str(tmp_path))()
    assert [f[0, 0, 0] for f in all_of(source)] == [50, 100]
    assert (source.live, source.damaged) == (False, 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        opener(str(tmp_path / "empty"))()


def test_the_synthetic_scene_moves_and_keeps_time():
    fast = Synthetic((48, 64), paced=False)
    first, second = fast.read(), [fast.read() for _ in range(20)][-1]
    assert first.shape == (48, 64, 3)
    assert (first != second).any()
    paced = opener("synthetic", (48, 64))()
    start = time.monotonic()
    for _ in range(7):
        paced.read()
    assert time.monotonic() - start > 6 / 30


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("nowhere.mp4", DataError, "no such file or folder"),
        ("-1", SettingsError, "numbered from 0"),
    ],
)
def test_what_is_no_source(text, error, words):
    with pytest.raises(error, match=words):
        opener(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("99", "camera 99 cannot be opened"), ("http://127.0.0.1:9/x", "the stream cannot be opened")],
)
def test_what_does_not_open(text, words):
    source = opener(text)()
    with pytest.raises(DataError, match=words):
        check_opens(text, source)


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(DataError, match="not a video"):
        opener(str(tmp_path / "a.mp4"))()


def test_a_camera_that_is_not_there_is_told_by_kseg_alone(capfd):
    video = Live(97)
    assert not video.opened
    with pytest.raises(DataError, match="camera 97 cannot be opened"):
        check_opens("97", video)
    assert "ERROR" not in capfd.readouterr().err


def test_folders_read_as_everything_else_does(tmp_path):
    """Bombs and pipes are not opened, and images are turned as viewers turn them."""
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[0] = (10, 20, 200)  # a red row at the top
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    for name in ("a.png", "a.webp", "a.tif"):
        Image.fromarray(pixels[..., ::1]).save(
            tmp_path / name, exif=exif, **({"lossless": True} if "webp" in name else {})
        )
    os.mkfifo(tmp_path / "b.png")
    Image.new("1", (9000, 9000)).save(tmp_path / "c.png")  # 10 kB that unpack to 243 MB
    (tmp_path / ".hidden.png").write_text("")
    source = opener(str(tmp_path))()
    frames = all_of(source)
    assert [frame.shape for frame in frames] == [(8, 4, 3)] * 3
    for frame in frames:
        np.testing.assert_array_equal(frame[:, -1], [(200, 20, 10)] * 8)  # BGR, on the right
    assert source.damaged == 2
    assert any("b.png" in fault for fault in source.faults)
    assert any(
        "c.png" in fault and "81,000,000" in fault.replace("9000x9000", "81,000,000")
        for fault in source.faults
    )


def test_files_that_break_off_say_so(tmp_path):
    whole, cut = clip(tmp_path / "a.avi", 40), tmp_path / "b.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for path, early in ((whole, False), (cut, True)):
        source = opener(str(path))()
        all_of(source)
        assert bool(source.early) == early


def test_frames_with_longer_times_come_again(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time_ in enumerate([0, 100, 200, 300, 900, 1000]):
            image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40 * number, np.uint8), format="rgb24")
            image.pts, image.time_base = time_, Fraction(1, 1000)
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    source = opener(str(tmp_path / "a.mkv"))()
    frames = all_of(source)
    levels = [round(frame.mean() / 40) for frame in frames]
    assert (source.fps, levels[:11]) == (10, [0, 1, 2, 3, 3, 3, 3, 3, 3, 4, 5])
    assert frames[4] is frames[3]  # so that no model runs on it again
