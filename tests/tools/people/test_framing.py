import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "people" / "framing.py"
_spec = importlib.util.spec_from_file_location("people_framing", TOOL)
framing = sys.modules["people_framing"] = importlib.util.module_from_spec(
    _spec
)  # dataclasses look their module up
_spec.loader.exec_module(framing)
Window = framing.Window


def figure(size=(200, 160), box=(40, 60, 180, 100), value=1):
    mask = np.zeros(size, np.uint8)
    mask[box[0] : box[2], box[1] : box[3]] = value
    return mask


def tall():
    return figure((400, 320), (80, 120, 360, 200))


def test_the_largest_person_is_boxed():
    mask = figure()
    mask[2:10, 2:10] = 1
    mask[190:195] = 255
    assert framing.largest_person(mask) == (40, 60, 180, 100)
    assert framing.largest_person(np.full((8, 8), 255, np.uint8)) is None


@pytest.mark.parametrize("seed", range(8))
def test_portraits_show_the_head_and_leave_the_feet(seed):
    window = framing.portrait_window(tall(), np.random.default_rng(seed))
    assert window.top <= 80 < window.bottom <= 80 + 0.55 * 280 + 1
    assert window.left < 160 < window.right
    assert 0 <= window.left < window.right <= 320


def test_no_portrait_without_a_person():
    rng = np.random.default_rng(0)
    assert framing.portrait_window(np.zeros((50, 50), np.uint8), rng) is None
    assert framing.portrait_window(figure((50, 50), (20, 20, 30, 30)), rng) is None


def test_empty_windows_are_empty():
    mask, rng = figure(value=255), np.random.default_rng(0)
    windows = [framing.empty_window(mask, rng) for _ in range(20)]
    found = [window for window in windows if window is not None]
    assert found
    assert not any(window.of(mask)[0].any() for window in found)
    assert framing.empty_window(np.ones((40, 40), np.uint8), rng) is None


def test_windows_about_a_thing_show_it_and_no_people():
    mask, things = tall(), figure((400, 320), (100, 210, 200, 300))
    found = [framing.window_about(things, mask, np.random.default_rng(seed)) for seed in range(20)]
    windows = [window for window in found if window is not None]
    assert len(windows) > 10
    for window in windows:
        assert not window.of(mask)[0].any()
        assert window.of(things)[0].mean() > 0.2
    assert framing.window_about(np.zeros_like(mask), mask, np.random.default_rng(0)) is None
    assert framing.window_about(things, np.ones_like(mask), np.random.default_rng(0)) is None


def test_clipped_windows_lie_inside():
    assert framing.clipped(-5, 90, 20, 30, (50, 100)) == Window(0, 70, 20, 100)
    assert framing.clipped(10, 10, 400, 300, (50, 100)) == Window(0, 0, 50, 100)


def test_pasting_keeps_people_and_takes_the_background():
    mask = figure((60, 60), (15, 15, 60, 45))
    image = np.full((60, 60, 3), 200, np.uint8)
    background = np.full((60, 60, 3), 90, np.uint8)
    out = framing.pasted(image, mask, background, np.random.default_rng(1))
    np.testing.assert_array_equal(out[30:50, 25:35], 200)
    assert (out[:8].astype(int) <= 90 + 0.6 * 110 + 1).all()


def test_light_and_faults_change_pixels_and_repeat():
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    for change in (framing.lit, framing.degraded):
        outs = [change(image, np.random.default_rng(seed)) for seed in range(6)]
        assert all(out.shape == image.shape and out.dtype == np.uint8 for out in outs)
        assert any((out != image).any() for out in outs)
        np.testing.assert_array_equal(outs[3], change(image, np.random.default_rng(3)))


def test_resizing_invents_no_class():
    mask = figure((40, 40), (10, 10, 30, 30), 255)
    image, small = framing.resized(np.zeros((40, 40, 3), np.uint8), mask, (13, 17))
    assert image.shape == (13, 17, 3)
    assert set(np.unique(small)) == {0, 255}


def test_noise_has_the_wanted_strength_and_no_direction():
    image = np.full((64, 64, 3), 128, np.uint8)
    out = framing._noisy(image, np.random.default_rng(0)).astype(float) - 128
    assert 2 < out.std() < 15
    assert abs(out.mean()) < 1
    assert abs(np.corrcoef(out[:, :-1, 0].ravel(), out[:, 1:, 0].ravel())[0, 1]) < 0.1
