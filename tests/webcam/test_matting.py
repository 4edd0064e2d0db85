import cv2
import numpy as np
import pytest

from kseg.webcam.matting import EPSILON, HIGH, LOW, RADIUS, Matting
from kseg.webcam.smoothing import of_two


def _alpha(probabilities, frame):
    return Matting()(probabilities, frame)


def _scene(size=(240, 320), cells=(64, 64)):
    """A bright disc on dark ground, and a map of it that is coarse and soft."""
    y, x = np.mgrid[: size[0], : size[1]]
    disc = (y - 130) ** 2 + (x - 150) ** 2 < 70**2
    frame = np.where(disc[..., None], 200, 60).astype(np.uint8).repeat(3, -1)
    share = cv2.resize(disc.astype(np.float32), cells[::-1], interpolation=cv2.INTER_AREA)
    return frame, disc, cv2.GaussianBlur(share, (0, 0), 1.5)


@pytest.mark.parametrize("size", [(1, 1), (4, 1), (1, 4), (7, 3)])
def test_what_is_certain_stays_so_in_frames_of_any_size(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    for share in (0, 1):
        np.testing.assert_array_equal(_alpha(of_two(np.full((8, 8), share, np.float32)), frame), 255 * share)


def test_edges_are_the_frames_own():
    """Nearer to the disc than the map at the frame's size is, by the mean difference along the outline."""
    frame, disc, share = _scene()
    alpha = _alpha(of_two(share), frame) / 255
    coarse = cv2.resize(share, disc.shape[::-1])
    edge = cv2.morphologyEx(disc.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((15, 15))) > 0
    assert np.abs(alpha - disc)[edge].mean() < 0.25 * np.abs(coarse - disc)[edge].mean()


def test_far_from_edges_it_is_the_map():
    frame, disc, share = _scene()
    alpha = _alpha(of_two(share), frame)
    assert alpha.dtype == np.uint8
    assert alpha.shape == disc.shape
    assert (alpha[:30] == 0).all()
    assert (alpha[110:150, 130:170] == 255).all()


def test_a_flat_frame_leaves_the_smoothed_map():
    """Without contrast the slope is 0, and the offset the map averaged twice over the windows."""
    share = np.random.default_rng(0).uniform(0.3, 0.7, (32, 32)).astype(np.float32)
    frame = np.full((32, 32, 3), 90, np.uint8)
    window = 2 * RADIUS + 1
    wide = np.pad(share, RADIUS, mode="reflect")
    once = np.lib.stride_tricks.sliding_window_view(wide, (window, window)).mean((2, 3))
    wide = np.pad(once, RADIUS, mode="reflect")
    twice = np.lib.stride_tricks.sliding_window_view(wide, (window, window)).mean((2, 3))
    expected = np.clip((twice - LOW) / (HIGH - LOW), 0, 1) * 255
    np.testing.assert_allclose(_alpha(of_two(share), frame), expected, atol=1.5)


def test_as_opencvs_guided_filter_at_the_same_size():
    ximgproc = pytest.importorskip("cv2.ximgproc")
    frame, _, _ = _scene((64, 64))
    rng = np.random.default_rng(1)
    frame = np.clip(frame + rng.normal(0, 8, frame.shape), 0, 255).astype(np.uint8)
    share = cv2.GaussianBlur(rng.uniform(0, 1, (64, 64)).astype(np.float32), (0, 0), 3)
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    theirs = ximgproc.guidedFilter(grey, share, RADIUS, EPSILON)
    expected = np.clip((theirs - LOW) / (HIGH - LOW), 0, 1) * 255
    inner = np.s_[12:-12, 12:-12]
    np.testing.assert_allclose(_alpha(of_two(share), frame)[inner], expected[inner], atol=2)


def test_more_classes_than_two_are_all_foreground():
    frame, _, share = _scene()
    three = np.stack([1 - share, share / 2, share / 2], -1)
    np.testing.assert_array_equal(_alpha(three, frame), _alpha(of_two(share), frame))


def test_one_object_for_frames_of_any_size():
    matting = Matting()
    for size in ((240, 320), (120, 90), (240, 320)):
        frame, _, share = _scene(size)
        np.testing.assert_array_equal(matting(of_two(share), frame), _alpha(of_two(share), frame))
