import numpy as np
import pytest

from kseg.webcam import screen
from kseg.webcam.screen import Painter
from kseg.webcam.view import View

CLASSES, PALETTE = ("background", "person", "dog"), ((0, 0, 0), (255, 0, 0), (0, 0, 255))


@pytest.fixture
def scene():
    frame = np.full((40, 60, 3), 100, np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 20:40], labels[30:, :10] = 1, 2
    return frame, labels


def test_paint_is_a_mixture_and_the_background_stays(scene):
    frame, labels = scene
    drawn = Painter(CLASSES, PALETTE)(frame, labels, View(alpha=0.25))
    np.testing.assert_array_equal(drawn[0, 0], [100, 100, 100])
    np.testing.assert_allclose(drawn[20, 30], [75, 75, 75 + 0.25 * 255], atol=1)  # red, in BGR
    np.testing.assert_allclose(drawn[35, 5], [75 + 0.25 * 255, 75, 75], atol=1)
    assert (frame == 100).all()


def test_one_class_only(scene):
    drawn = Painter(CLASSES, PALETTE)(*scene, View(alpha=1.0, only=2))
    np.testing.assert_array_equal(drawn[20, 30], 100)
    np.testing.assert_array_equal(drawn[35, 5], [255, 0, 0])
    nothing = Painter(CLASSES, PALETTE)(scene[0], np.ones((40, 60), np.uint8), View(alpha=1.0, only=2))
    np.testing.assert_array_equal(nothing, scene[0])


def test_models_without_a_background_are_painted_everywhere(scene):
    drawn = Painter(("sky", "road", "car"), ((9, 8, 7), (255, 0, 0), (0, 0, 255)))(*scene, View(alpha=1.0))
    np.testing.assert_array_equal(drawn[0, 0], [7, 8, 9])


def test_mirror(scene):
    painter = Painter(CLASSES, PALETTE)
    np.testing.assert_array_equal(painter(*scene, View(mirror=True)), painter(*scene, View())[:, ::-1])


def test_backgrounds(scene):
    frame, labels = scene
    frame[:, ::2] = 200  # stripes, which a blur takes away
    view = View(alpha=0.0, background="replace")
    green = Painter(CLASSES, PALETTE, (0, 255, 0))(frame, labels, view)
    np.testing.assert_allclose(green[2, 50], [0, 255, 0], atol=2)
    np.testing.assert_allclose(green[20, 30], frame[20, 30], atol=3)
    picture = np.full((20, 30, 3), 33, np.uint8)
    behind = Painter(CLASSES, PALETTE, picture)(frame, labels, view)
    np.testing.assert_allclose(behind[2, 50], 33, atol=2)
    view.background = "blur"
    blurred = Painter(CLASSES, PALETTE)(frame, labels, view)
    assert blurred[2, 45:].std() < 0.2 * frame[2, 45:].std()
    np.testing.assert_allclose(blurred[20, 28:32], frame[20, 28:32], atol=3)


def test_a_bright_person_does_not_shine_into_the_blurred_background():
    frame, labels = np.full((160, 240, 3), 20, np.uint8), np.zeros((160, 240), np.uint8)
    labels[40:, 80:160] = 1
    frame[labels == 1] = 250
    view = View(alpha=0.0, background="blur")
    blurred = Painter(("ground", "person"), ((0, 0, 0), (0, 255, 0)))(frame, labels, view)
    assert blurred[100, 166:200].max() <= 24  # six pixels and more beside the person; 20 is the background
    np.testing.assert_allclose(blurred[100, 90:150], 250, atol=2)


def test_shares_count_pixels(scene):
    np.testing.assert_allclose(screen.shares(scene[1], 3), [1900 / 2400, 400 / 2400, 100 / 2400], atol=0.01)


@pytest.mark.parametrize("size", [(48, 64), (480, 640), (3, 5)])
def test_writing_changes_pixels_and_never_fails(size):
    labels = np.zeros(size, np.uint8)
    painter = Painter(CLASSES, PALETTE)
    for write in (
        lambda d: screen.legend(d, labels, painter, ["30 fps"], View(only=1)),
        lambda d: screen.message(d, "the camera is gone; waiting for it"),
        screen.help_text,
    ):
        drawn = np.full((*size, 3), 100, np.uint8)
        write(drawn)
        assert (drawn != 100).any()


def test_shares_of_two_classes_count_every_pixel():
    labels = np.zeros((5, 7), np.uint8)
    labels[1, 1::2] = 1  # in rows and columns that a coarser count leaves out
    np.testing.assert_allclose(screen.shares(labels, 2), [32 / 35, 3 / 35])


@pytest.mark.parametrize("only", [None, 0, 2])
def test_paint_is_as_mixed_over_the_whole_frame(only):
    """Plain NumPy on every pixel; the painter works where there is paint."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    labels = np.zeros((37, 53), np.uint8)
    labels[5:30, 9:41] = rng.integers(0, 3, (25, 32))
    drawn = Painter(CLASSES, PALETTE)(frame, labels, View(alpha=0.3, only=only))
    shown = labels > 0 if only is None else labels == only
    mixed = 0.7 * frame + 0.3 * np.array(PALETTE, float)[labels][..., ::-1]
    np.testing.assert_allclose(drawn, np.where(shown[..., None], mixed, frame), atol=0.51)
