import time

import cv2
import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.webcam.source import Synthetic, Video, check_opens, opener


def clip(path, count=5, size=(32, 48), fps=20):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, size[::-1])
    for number in range(count):
        writer.write(np.full((*size, 3), 40 * number + 20, np.uint8))
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
    with pytest.raises(DataError, match="holds no picture"):
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
    source = opener(str(tmp_path / "a.mp4"))()
    with pytest.raises(DataError, match="not a video"):
        check_opens(str(tmp_path / "a.mp4"), source)


def test_a_camera_that_is_not_there_is_told_by_kseg_alone(capfd):
    video = Video(97)
    assert not video.opened
    with pytest.raises(DataError, match="camera 97 cannot be opened"):
        check_opens("97", video)
    assert "ERROR" not in capfd.readouterr().err
