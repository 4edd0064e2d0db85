import cv2
import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.webcam import output
from kseg.webcam.output import Recorder, check_display, screenshot


def test_recordings_have_the_first_frames_size(tmp_path):
    recorder = Recorder(tmp_path / "new" / "a.mp4", 12.0)
    for size in ((48, 64), (24, 32), (48, 64)):
        recorder.write(np.full((*size, 3), 90, np.uint8))
    recorder.close()
    recorder.close()
    capture = cv2.VideoCapture(str(tmp_path / "new" / "a.mp4"))
    frames = [capture.read()[1] for _ in range(3)]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert capture.get(cv2.CAP_PROP_FPS) == 12
    assert recorder.frames == 3


def test_recordings_that_cannot_be(tmp_path):
    with pytest.raises(SettingsError, match="ends in"):
        Recorder(tmp_path / "a.txt", 10)
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        Recorder(tmp_path / "a.mp4", 10).write(np.zeros((16, 16, 3), np.uint8))


def test_screenshots_do_not_overwrite_each_other(tmp_path):
    frame = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    paths = [screenshot(frame, tmp_path / "shots") for _ in range(3)]
    assert len(set(paths)) == 3
    np.testing.assert_array_equal(cv2.imread(str(paths[2])), frame)


@pytest.mark.parametrize(
    ("display", "words"),
    [("", "there is no display"), (":987", ":987 does not answer"), ("nonsense", "answer")],
)
def test_no_display_is_said_with_the_way_out(monkeypatch, display, words):
    monkeypatch.setattr(output.sys, "platform", "linux")
    for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(SettingsError, match=f"{words}.*--headless"):
        check_display()
