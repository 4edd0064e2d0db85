import cv2
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.webcam import output
from kseg.webcam.output import Recorder, check_display, screenshot, unused


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def rate_of(path):
    capture = cv2.VideoCapture(str(path))
    return capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)


@pytest.mark.parametrize(("shown", "fps"), [(12.5, 12.5), (29.5, 30.0), (50.0, 30.0)])
@pytest.mark.parametrize("count", [5, 40])
def test_recordings_play_in_time(tmp_path, shown, fps, count):
    """A camera of 30 frames a second of which fewer are shown; every frame is in the file."""
    clock = Clock()
    recorder = Recorder(tmp_path / "a.mp4", 30.0, clock)
    for _ in range(count):
        recorder.write(np.full((48, 64, 3), 90, np.uint8))
        clock.now += 1 / shown
    clock.now -= 1 / shown
    recorder.close()
    assert rate_of(tmp_path / "a.mp4") == (pytest.approx(fps, abs=0.1), count)


def test_a_recording_of_nothing_is_no_file(tmp_path):
    recorder = Recorder(tmp_path / "a.mp4", 30.0)
    recorder.close()
    assert not list(tmp_path.iterdir())


def test_paths_are_unused_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(output.time, "strftime", lambda form: "now")
    for name in ("kseg-now.mp4", "kseg-now-2.mp4", "kseg-now-3.mp4"):
        path = unused(tmp_path / "new", ".mp4")
        assert path.name == name
        path.touch()


@pytest.mark.parametrize(("x_only", "refused"), [(True, True), (False, False)])
@pytest.mark.parametrize("name", ["WAYLAND_DISPLAY", "QT_QPA_PLATFORM"])
def test_a_qt_that_knows_x_only_needs_x_on_wayland_too(monkeypatch, x_only, refused, name):
    monkeypatch.setattr(output.sys, "platform", "linux")
    monkeypatch.setattr(output, "_needs_x", lambda: x_only)
    monkeypatch.setenv(name, "wayland-0")
    monkeypatch.delenv("DISPLAY", raising=False)
    if refused:
        with pytest.raises(SettingsError, match=r"there is no display.*--headless"):
            check_display()
    else:
        check_display()


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
