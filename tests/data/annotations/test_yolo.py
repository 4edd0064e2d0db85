import cv2
import numpy as np
import pytest

from kseg.data import from_yolo
from kseg.errors import DataError

BOX = "0.25 0.16666667 0.875 0.16666667 0.875 0.66666667 0.25 0.66666667"  # rows 1-3, columns 2-6 of 6x8


@pytest.fixture(params=["images/train", "train/images"])
def make(tmp_path, request):
    """``make(text)``: one image of 6x8 with this text, and one without any."""
    images = tmp_path / request.param
    labels = tmp_path / request.param.replace("images", "labels")
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(images / name), np.zeros((6, 8, 3), np.uint8))
    (tmp_path / "data.yaml").write_text("path: .\ntrain: images/train\nnames:\n  0: cat\n  1: dog\n")

    def write(text):
        (labels / "a.txt").write_text(text)
        return tmp_path

    return write


def test_classes_move_up_behind_the_background(make):
    dataset = from_yolo(make(f"1 {BOX}\n"))
    assert dataset.classes == ("background", "cat", "dog")
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:7] = 2
    np.testing.assert_array_equal(dataset[0][1], expected)
    assert dataset[1][1].max() == 0
    assert from_yolo(make(f"1 {BOX}\n"), classes=["a", "b"]).classes == ("background", "a", "b")


def test_points_a_little_outside_are_cut_off_at_the_edge(make):
    """As other programs round; what lies farther outside is no part of the width."""
    for over in (0.002, 0.03):
        far = f"{1 + over}"
        labels = from_yolo(make(f"0 0.5 {-over} {far} {-over} {far} {far} 0.5 {far}"))[0][1]
        np.testing.assert_array_equal(labels, np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 6, 0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 -0.5 0 1.5 0 1.5 1", "points from -0.5 to 1.5; expected parts of the width"),
        (f"2 {BOX}", "line 1: class 2, but there are names for the classes 0 to 1"),
        (f"0 {BOX}\n0 0.5 0.5 0.2 0.2\n", "line 2: a box"),
        ("0 0.1 0.2 0.3\n", "a polygon of 3 numbers"),
        ("0 1 1 3 1 3 3\n", "points from 1 to 3"),
        ("0 nan 0.1 0.2 0.3 0.4 0.5", "points from nan"),
        ("cat 0.1 0.1 0.2 0.2 0.3 0.3", "not a class number"),
    ],
)
def test_bad_lines_are_named(make, text, says):
    with pytest.raises(DataError, match=says) as caught:
        from_yolo(make(text))
    assert "a.txt" in str(caught.value)


def test_what_is_missing(make, tmp_path):
    root = make(f"0 {BOX}")
    with pytest.raises(DataError, match=r"expected images/val and labels/val"):
        from_yolo(root, "val")
    (root / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"no data\.yaml"):
        from_yolo(root)
    next(root.rglob("a.txt")).unlink()
    with pytest.raises(DataError, match="no text belongs to an image"):
        from_yolo(root, classes=["a"])


def test_without_folders_of_splits(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((10, 10, 3), np.uint8))
    (tmp_path / "labels" / "a.txt").write_text("0 0 0 0.5 0 0.5 0.5 0 0.5\n")
    (tmp_path / "data.yaml").write_text("names: [x]\n")
    assert from_yolo(tmp_path)[0][1].sum() == 25
    with pytest.raises(DataError, match="expected images/val"):
        from_yolo(tmp_path, "val")
