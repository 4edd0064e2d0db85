import resource
import warnings

import cv2
import numpy as np
import pytest

from kseg.errors import DataError, KsegWarning, SettingsError
from kseg.io import video_file
from kseg.io.video_file import VideoFile


def frame(size=(48, 64), level=90):
    return np.full((*size, 3), level, np.uint8)


def read(path):
    capture = cv2.VideoCapture(str(path))
    found = []
    while (answer := capture.read())[0]:
        found.append(answer[1])
    return found, capture.get(cv2.CAP_PROP_FPS)


def test_the_file_appears_whole_with_the_first_frames_size(tmp_path):
    file = VideoFile(tmp_path / "new" / "a.mp4", 12.0)
    for size in ((48, 64), (24, 32), (48, 64)):
        file.write(frame(size))
    assert not (tmp_path / "new" / "a.mp4").exists()
    file.close()
    file.close()
    file.discard()
    found, fps = read(tmp_path / "new" / "a.mp4")
    assert ({one.shape for one in found}, len(found), fps) == ({(48, 64, 3)}, 3, 12)
    assert (file.frames, file.size) == (3, (48, 64))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.mp4"]


def test_what_is_left_off_leaves_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    file = VideoFile(tmp_path / "a.mp4", 12.0)
    file.write(frame())
    file.discard()
    file.close()
    assert (tmp_path / "a.mp4").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".avi"])
def test_a_disk_that_fills_up(tmp_path, ending, capfd):
    """The system refuses to let the file grow; OpenCV itself says nothing."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    rng = np.random.default_rng(0)
    file = VideoFile(tmp_path / f"a{ending}", 25.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        for _ in range(30):
            file.write(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
        with pytest.raises(DataError, match="not be written wholly"):
            file.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    assert "WARN" not in capfd.readouterr().err


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi"])
@pytest.mark.parametrize(("count", "fps"), [(1, 25.0), (2, 0.5), (90, 29.97), (130, 240.0)])
def test_whole_files_pass(tmp_path, ending, count, fps):
    file = VideoFile(tmp_path / f"a{ending}", fps)
    for number in range(count):
        file.write(frame((16, 32), number))
    file.close()
    assert len(read(tmp_path / f"a{ending}")[0]) == count


def test_a_full_disk_is_said_on_the_way(tmp_path, monkeypatch):
    file = VideoFile(tmp_path / "a.mp4", 25.0)
    file.write(frame())
    monkeypatch.setattr(video_file.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    many = iter(lambda: file.write(frame()), 0)
    with pytest.raises(DataError, match="the disk is full"):
        all(next(many) is None for _ in range(100))
    file.close()
    assert len(read(tmp_path / "a.mp4")[0]) == file.frames


@pytest.mark.parametrize(("ending", "size"), [(".avi", (49, 65)), (".mp4", (48, 64)), (".mkv", (48, 64))])
def test_odd_sizes_are_kept_or_said(tmp_path, ending, size):
    file = VideoFile(tmp_path / f"a{ending}", 25.0)
    if ending == ".avi":
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file.write(frame((49, 65)))
    else:
        with pytest.warns(KsegWarning, match="65x49 becomes 64x48"):
            file.write(frame((49, 65)))
    file.write(frame((49, 65)))
    file.close()
    found, _ = read(tmp_path / f"a{ending}")
    assert [one.shape[:2] for one in found] == [size, size]
    assert file.size == size


@pytest.mark.parametrize("fps", [66.123, 119.88, 239.763, 29.97, 0.5, 899.123])
def test_every_rate_can_be_written(tmp_path, fps, capfd):
    """MPEG-4 knows fractions of at most 65535; phones write averages such as 66.123."""
    file = VideoFile(tmp_path / "a.mp4", fps)
    for _ in range(3):
        file.write(frame())
    file.close()
    assert read(tmp_path / "a.mp4")[1] == pytest.approx(fps, rel=1e-3)
    assert file.fps == pytest.approx(fps, rel=1e-3)
    assert capfd.readouterr().err == ""


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(SettingsError, match="ends in"):
        VideoFile(tmp_path / "a.txt", 10)
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        VideoFile(tmp_path / "a.mp4", 10)
    with pytest.raises(DataError, match="1x1 at 10 fps cannot be written"):
        VideoFile(tmp_path / "b.mp4", 10).write(frame((1, 1)))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        VideoFile(tmp_path / "file" / "c.mp4", 10).write(frame())
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "file"}
