"""Every fault of a camera that platform notes and users tell of, from a fake one."""

import time

import numpy as np
import pytest

from kseg.webcam.capture import Capture


@pytest.fixture
def started():
    running = []

    def start(opener, **arguments):
        capture = Capture(opener, **arguments)
        running.append(capture)
        capture.start()
        return capture

    yield start
    for capture in running:
        capture.stop()


def frame_within(capture, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (frame := capture.take(0.05)) is not None:
            return frame
    return None


def test_the_newest_frame_wins(started, camera):
    capture = started(camera())
    first = frame_within(capture, 5)
    time.sleep(0.3)
    second = frame_within(capture, 5)
    assert second.number > first.number + 2
    assert time.monotonic() - second.time < 0.2


@pytest.mark.full
def test_unplugged_and_back_within_two_seconds(started, camera, until):
    device = camera()
    capture = started(device)
    assert frame_within(capture, 5)
    device.plugged = False
    assert until(lambda: "gone" in capture.message)
    time.sleep(1.0)
    device.plugged = True
    back = time.monotonic()
    capture.take(0)  # what was left from before
    assert frame_within(capture, 4)
    assert time.monotonic() - back < 2
    assert until(lambda: capture.message == "")
    assert device.released.is_set()


def test_no_first_frame_is_said(started, camera, until):
    device = camera(script=[1.0])
    capture = started(device, stall=0.2)
    assert until(lambda: capture.message == "waiting for the first frame")
    assert frame_within(capture, 5)


@pytest.mark.full
def test_a_stall_is_said_and_ends_by_itself(started, camera, until):
    frame = np.full((8, 8, 3), 99, np.uint8)
    capture = started(camera(script=[frame, 1.5]), stall=0.3)
    assert frame_within(capture, 5)
    assert until(lambda: capture.message.startswith("no frame for"))
    assert frame_within(capture, 5)
    assert until(lambda: capture.message == "")


@pytest.mark.full
def test_a_read_that_hangs_is_left_behind(started, camera):
    """The device is opened anew while the old read still hangs, whose late frame is not shown."""
    late = np.full((8, 8, 3), 1, np.uint8)
    devices = [camera(script=[2.5, late]), camera()]
    capture = started(lambda: devices.pop(0)() if len(devices) > 1 else devices[0](), abandon=0.5)
    frame = frame_within(capture, 4)
    assert frame.image.mean() == 120
    time.sleep(2.5)
    assert frame_within(capture, 4).image.mean() == 120


def test_reading_that_raises(started, camera, until):
    device = camera(script=[RuntimeError("cable pulled"), RuntimeError("again")])
    capture = started(device)
    seen = []
    assert until(lambda: seen.append(capture.message) or any("cable pulled" in text for text in seen))
    assert frame_within(capture, 5)
    assert device.opens >= 3
    assert capture.reopened >= 2


def test_an_opener_that_raises(started, camera, until):
    device, failures = camera(), [OSError("busy"), OSError("busy")]

    def opener():
        if failures:
            raise failures.pop()
        return device()

    capture = started(opener)
    assert frame_within(capture, 5)
    assert capture.reopened == 2


def test_resolution_change(started, camera):
    small, large = np.full((24, 32, 3), 100, np.uint8), np.full((48, 80, 3), 100, np.uint8)
    capture = started(camera(script=[small, large]), newest=False)
    assert [frame_within(capture, 5).image.shape for _ in range(2)] == [(24, 32, 3), (48, 80, 3)]


def test_black_frames_are_shown_and_said(started, camera, until):
    black = np.zeros((48, 64, 3), np.uint8)
    capture = started(camera(script=[black] * 5), newest=False)
    assert frame_within(capture, 5) is not None
    assert until(lambda: "black" in capture.message)
    assert until(lambda: capture.take(0.05) is not None and capture.message == "")


@pytest.mark.full
def test_frames_that_are_no_pictures(started, camera):
    bad = [np.zeros((0, 0, 3), np.uint8), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)]
    capture = started(camera(script=bad))
    assert frame_within(capture, 6).image.shape == (48, 64, 3)


def test_a_file_loses_no_frame_and_ends(started):
    class File:
        live, fps, left, damaged = False, 25.0, 7, 0

        def read(self):
            self.left -= 1
            self.damaged += self.left in (2, 4)
            return np.full((8, 8, 3), 100 + self.left, np.uint8) if self.left >= 0 else None

        def release(self):
            self.left = -5

    capture = started(File, newest=False)
    numbers = []
    while not (capture.ended and capture._frame is None):
        if (frame := capture.take(0.1)) is not None:
            numbers.append(int(frame.image[0, 0, 0]))
            time.sleep(0.02)
    assert numbers == [106, 105, 104, 103, 102, 101, 100]
    assert capture.damaged == 2
    assert capture.message == ""


def test_stopping_does_not_wait_for_a_hanging_read(started, camera):
    capture = started(camera(script=[30.0]))
    time.sleep(0.1)
    start = time.monotonic()
    capture.stop()
    assert time.monotonic() - start < 0.5


def test_opening_may_take_longer_than_reading(started, camera):
    """A stream needs seconds to open: no second opening is begun beside the first."""
    device, opens = camera(), []

    def slowly():
        opens.append(1)
        time.sleep(1.0)
        return device()

    assert frame_within(started(slowly, abandon=0.2), 5)
    assert len(opens) == 1


@pytest.mark.full
def test_a_file_of_few_frames_a_second_goes_on(started, film):
    """Between two of its frames lies more than a hanging read of a camera may take."""
    capture = started(lambda: film(fps=2.5), abandon=0.2, stall=0.1)
    values = [int(frame_within(capture, 3).image[0, 0, 0]) for _ in range(4)]
    assert values == [1, 2, 3, 4]
    assert capture.reopened == 0
    assert capture.message == ""


@pytest.mark.full
def test_a_file_that_is_held_stands_still(started, film):
    """Held, nothing is lost; let go, it goes on at its own speed."""
    capture = started(lambda: film(fps=50.0))
    assert frame_within(capture, 3)
    capture.held = True
    before = frame_within(capture, 3).image[0, 0, 0]
    time.sleep(0.6)
    one, two = (int(frame_within(capture, 3).image[0, 0, 0]) for _ in range(2))
    assert (one, two) == (before + 1, before + 2)
    time.sleep(0.6)
    capture.held = False
    start = time.monotonic()
    while frame_within(capture, 3).image[0, 0, 0] < two + 30:
        pass
    assert time.monotonic() - start > 0.3  # 30 frames of 20 ms, of which 0.2 s may be caught up


def test_a_dark_scene_of_a_file_is_no_covered_lens(started, film):
    capture = started(lambda: film(fps=50.0), newest=False)
    assert frame_within(capture, 3).image.mean() == 1
    assert capture.fault == ""
