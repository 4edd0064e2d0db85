"""The figure holds the shares of the matrix."""

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.evaluation import confusion_picture
from kseg.visualize.confusion import confusion_figure

pytest.importorskip("matplotlib")


def matrix(classes):
    """Class 0 is right in 60 % and taken for class 1 in 40 %; class 1 has no pixels; the others are right."""
    counts = np.eye(classes, dtype=np.int64) * 60
    counts[0, 1] = 40
    counts[1] = 0
    return counts


@pytest.mark.parametrize("classes", [2, 11, 60])
def test_colours_say_what_is_right_and_what_is_confused(classes):
    figure = confusion_figure(matrix(classes), [f"class {i}" for i in range(classes)])
    (image,) = figure.axes[0].images
    colours = np.asarray(image.get_array()).astype(int)
    assert colours.shape == (classes, classes, 3)
    red, blue = colours[..., 0], colours[..., 2]
    right = np.eye(classes, dtype=bool)
    right[1, 1] = False  # an empty row
    assert ((blue - red > 60) == right).all()
    wrong = np.zeros_like(right)
    wrong[0, 1] = True
    assert ((red - blue > 60) == wrong).all()
    assert (colours[~right & ~wrong] == 250).all()


def test_numbers_are_percents_of_the_true_class():
    counts = np.array([[1, 0, 999], [50, 50, 0], [0, 0, 0]])
    figure = confusion_figure(counts, ["a", "b", "c"])
    found = {text.get_position()[::-1]: text.get_text() for text in figure.axes[0].texts}
    assert found == {(0, 0): "0.1", (0, 2): "100", (1, 0): "50", (1, 1): "50"}
    assert not confusion_figure(matrix(41), [str(i) for i in range(41)]).axes[0].texts


def test_names_stand_on_both_axes():
    names = ["_road", "tree $1$", "person"]
    axes = confusion_figure(matrix(3), names).axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text().replace("\\$", "$").lstrip("\u200b") for label in labels] == names


def test_the_image():
    small, large = (confusion_picture(matrix(n), [str(i) for i in range(n)]) for n in (2, 30))
    assert small.dtype == np.uint8
    assert large.shape[0] > small.shape[0]
    assert max(confusion_picture(matrix(300), [str(i) for i in range(300)]).shape) < 4200


@pytest.mark.parametrize("shape", [(2, 2), (3,), (3, 4)])
def test_a_matrix_of_other_classes(shape):
    with pytest.raises(DataError, match="3 classes"):
        confusion_figure(np.zeros(shape, int), ["a", "b", "c"])
