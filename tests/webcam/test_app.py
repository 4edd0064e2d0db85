import json
import sys
import time

import cv2
import numpy as np
import pytest

from kseg.webcam.app import App, Settings
from kseg.webcam.view import View


class FakeWindow:
    """Takes what is shown, and presses the keys of a script: {number of the show: key}."""

    def __init__(self, keys):
        self.keys, self.shown, self.closed = dict(keys), [], False

    def show(self, frame):
        self.shown.append(frame.copy())
        return ord(self.keys.pop(len(self.shown), "\0")) if len(self.shown) in self.keys else -1

    def close(self):
        self.closed = True


def test_headless_writes_video_and_report(tmp_path, camera, bright):
    settings = Settings(
        headless=True, output=tmp_path / "out.mp4", max_frames=5, report=tmp_path / "report.json"
    )
    before = sys.getswitchinterval(), cv2.getNumThreads()
    report = App(camera(), bright(), settings).run()
    assert (sys.getswitchinterval(), cv2.getNumThreads()) == before
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == 5
    assert {"grab", "infer", "draw", "show", "latency"} == set(report["stages"])
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert sum(capture.read()[0] for _ in range(6)) == 5


def test_keys_reach_the_picture(tmp_path, camera, bright):
    frame = np.full((64, 96, 3), 200, np.uint8)
    device = camera(script=[frame] * 500)
    window = FakeWindow({3: "l", 6: "-", 9: "s", 12: "q"})
    app = App(device, bright(), Settings(folder=tmp_path, view=View(alpha=0.1)), window=window)
    app.run()
    assert window.closed
    (shot,) = tmp_path.glob("*.png")
    assert app.saved == [shot]
    assert (cv2.imread(str(shot)) == 200).all()  # without legend and paint
    assert not (window.shown[0] == 200).all()
    assert len(window.shown) == 12


def test_the_help_is_not_written_over_the_legend(camera, bright, monkeypatch):
    window, written = FakeWindow({3: "h", 6: "h", 9: "q"}), []
    monkeypatch.setattr("kseg.webcam.screen.legend", lambda drawn, *_: written.append(len(window.shown)))
    App(camera(), bright(), Settings(), window=window).run()
    assert {1, 2, 7, 8} <= set(written)
    assert not {3, 4, 5} & set(written)


def test_pause_holds_and_step_lets_one_through(camera, bright):
    window = FakeWindow({5: " ", 9: ".", 16: "q"})
    app = App(camera(), bright(), Settings(), window=window)
    before = []
    original = app.pipeline.take

    def take(*arguments):
        result = original(*arguments)
        before.append((len(window.shown), app.view.paused, result is not None))
        return result

    app.pipeline.take = take
    app.run()
    paused = [taken for _, is_paused, taken in before if is_paused]
    assert paused.count(True) == 1


def test_recording_by_key(tmp_path, camera, bright):
    window = FakeWindow({2: "r", 10: "r", 12: "q"})
    app = App(camera(), bright(), Settings(folder=tmp_path), window=window)
    app.run()
    (path,) = tmp_path.glob("*.mp4")
    assert app.saved == [path]
    assert cv2.VideoCapture(str(path)).read()[0]


def test_faults_are_on_the_screen_and_the_window_lives(camera, bright):
    device = camera()
    window = FakeWindow({})
    app = App(device, bright(), Settings(), window=window)
    shows = []

    def show(frame):
        shows.append((app.capture.message, frame.mean()))
        if len(shows) == 5:
            device.plugged = False
        if "gone" in app.capture.message and len(shows) > 5:
            device.plugged = True
        recovered = any(m for m, _ in shows) and not app.capture.message and len(shows) > 30
        return ord("q") if recovered or len(shows) > 2000 else -1

    window.show = show
    app.run()
    assert any("gone" in message for message, _ in shows)
    assert shows[-1][0] == ""


def refused_folder(tmp_path):
    """A folder that cannot be made, for a file is in its place."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "shots"


@pytest.mark.parametrize("key", ["s", "r"])
def test_what_cannot_be_saved_is_said_on_the_screen(tmp_path, camera, bright, key):
    """The live picture goes on."""
    window = FakeWindow({3: key, 20: "q"})
    settings = Settings(folder=refused_folder(tmp_path), view=View(legend=False))
    app = App(camera(), bright(), settings, window=window)
    notices = []
    app._say = notices.append
    app.run()
    assert len(window.shown) == 20
    assert not app.saved
    assert "no screenshot" in notices[0] if key == "s" else "no recording" in notices[0]


def test_a_recording_that_fails_on_the_way_is_kept_and_said(tmp_path, camera, bright, monkeypatch):
    window = FakeWindow({2: "r", 40: "q"})
    app = App(camera(), bright(), Settings(folder=tmp_path), window=window)
    notices, usage = [], iter([10**9] * 1 + [0] * 9)
    app._say = notices.append
    monkeypatch.setattr(
        "kseg.io.video_file.shutil.disk_usage", lambda path: type("Usage", (), {"free": next(usage)})
    )
    app.run()
    (path,) = tmp_path.iterdir()
    assert app.saved == [path]
    assert "saved" in notices[-1]
    assert "disk is full" in notices[-1]
    assert len(window.shown) == 40
    assert cv2.VideoCapture(str(path)).read()[0]


class Interrupts(FakeWindow):
    def show(self, frame):
        if len(self.shown) > 20:
            raise KeyboardInterrupt
        return super().show(frame)


def test_ctrl_c_ends_a_camera_and_keeps_what_was_written(tmp_path, camera, bright):
    settings = Settings(output=tmp_path / "out.mp4", report=tmp_path / "r.json")
    report = App(camera(), bright(), settings, window=Interrupts({})).run()
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert (
        capture.get(cv2.CAP_PROP_FRAME_COUNT) == report["frames"] + 1
    )  # of the last, the show was broken off
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "r.json"}


def test_ctrl_c_in_a_file_of_which_all_was_asked_leaves_nothing(tmp_path, bright, film):
    settings = Settings(live=False, output=tmp_path / "out.mp4", report=tmp_path / "r.json")
    with pytest.raises(KeyboardInterrupt):
        App(lambda: film(200), bright(), settings, window=Interrupts({})).run()
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_model_leaves_no_half_video(tmp_path, bright, film):
    class Breaks(bright):
        def scores(self, frame):
            if frame[0, 0, 0] > 30:
                raise RuntimeError("out of memory")
            return super().scores(frame)

    settings = Settings(live=False, headless=True, output=tmp_path / "out.mp4")
    with pytest.raises(RuntimeError, match="out of memory"):
        App(lambda: film(200), Breaks(), settings).run()
    assert not list(tmp_path.iterdir())


@pytest.mark.full
def test_a_slow_model_is_waited_for_at_the_end_of_a_file(bright, film):
    """The last frame is read long before the model is done with it."""
    settings = Settings(live=False, headless=True, give_up=0.4)
    assert App(lambda: film(2), bright(seconds=0.8), settings).run()["frames"] == 2


def test_pause_holds_a_file_and_step_gives_its_next_frames(bright, film):
    window = FakeWindow({})
    app = App(lambda: film(250), bright(), Settings(view=View(legend=False)), window=window)
    shown, since = [], []

    def show(frame):
        value = int(app._held[0][0, 0, 0])
        if not shown or shown[-1] != value:
            shown.append(value)
        if len(shown) == 3 and not app.view.paused:
            since.append(time.monotonic())
            return ord(" ")
        if not app.view.paused or time.monotonic() - since[0] < 0.5:
            return -1
        return ord("." if len(shown) < 7 else "q")

    window.show = show
    app.run()
    steps = np.diff(shown[3:])  # the one that was on its way when it was paused may have been passed over
    np.testing.assert_array_equal(steps, 1)
    assert shown[-1] < 30


def test_headless_gives_up_on_a_camera_that_never_answers(camera, bright):
    device = camera()
    device.plugged = False
    report = App(device, bright(), Settings(headless=True, max_frames=3, give_up=0.5)).run()
    assert report["frames"] == 0
    assert "gone" in report["message"]


def test_drawing_hides_behind_inference(camera, bright):
    """A model of 120 ms and a screen of 60 ms: what is shown a second is what the model alone would allow."""
    device = camera()
    window = FakeWindow({})
    window.show = lambda frame: time.sleep(0.06) or -1
    app = App(device, bright(seconds=0.12), Settings(max_frames=12), window=window)
    report = app.run()
    alone = 1000 / np.mean(app.timings._all["infer"])
    assert report["fps"] > 0.85 * alone


class Ends:
    """A source that is not live and gives ``count`` frames, each after ``seconds``; then ``early`` or an error."""

    live, fps, early = False, 100.0, ""

    def __init__(self, count, seconds=0.0, early="", error=None):
        self.count, self.seconds, self._early, self.error = count, seconds, early, error

    def read(self):
        time.sleep(self.seconds)
        self.count -= 1
        if self.count < 0 and self.error is not None:
            raise self.error
        self.early = self._early if self.count < 0 else ""
        return np.full((8, 8, 3), 90, np.uint8) if self.count >= 0 else None

    def release(self):
        pass


def finished(source, bright, tmp_path, **settings):
    settings = {"live": False, "headless": True, "report": tmp_path / "r.json", **settings}
    report = App(lambda: source, bright(), Settings(**settings)).run()
    assert report == json.loads((tmp_path / "r.json").read_text())
    return report


def test_every_early_end_is_told(bright, camera, tmp_path):
    whole = finished(Ends(5), bright, tmp_path)
    assert (whole["frames"], whole["complete"], whole["ended"], whole["message"]) == (
        5,
        True,
        "end of the source",
        "",
    )
    cut = finished(Ends(3, early="2 frames are missing"), bright, tmp_path)
    assert (cut["frames"], cut["complete"], cut["message"]) == (3, False, "2 frames are missing")
    failed = finished(Ends(3, error=RuntimeError("read error")), bright, tmp_path)
    assert (failed["frames"], failed["complete"]) == (3, False)
    assert "read error" in failed["message"]
    device = camera([np.zeros((8, 8, 3), np.uint8)] * 3 + [5.0])
    dead = finished(device, bright, tmp_path, live=True, give_up=0.4)
    assert not dead["complete"]
    assert "given up: no frame for" in dead["message"]
    counted = finished(Ends(9), bright, tmp_path, max_frames=4)
    assert (counted["frames"], counted["complete"], counted["ended"]) == (4, True, "max frames")


@pytest.mark.full
def test_a_slow_file_is_waited_for(bright, tmp_path):
    """A network folder may take long for one image; a camera that is silent as long is given up."""
    report = finished(Ends(3, seconds=0.3), bright, tmp_path, give_up=0.1)
    assert (report["frames"], report["complete"]) == (3, True)


def test_a_model_that_fails_is_in_the_report(camera, bright, tmp_path):
    model = bright()
    model.scores = lambda frame: 1 / 0
    settings = Settings(headless=True, report=tmp_path / "r.json")
    with pytest.raises(ZeroDivisionError):
        App(camera(), model, settings).run()
    report = json.loads((tmp_path / "r.json").read_text())
    assert not report["complete"]
    assert report["ended"].startswith("failed: division by zero")
