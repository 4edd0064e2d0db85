import errno

import cv2
import numpy as np
import pytest

from kseg.errors import DataError, FileError, KsegWarning, SettingsError
from kseg.inference import confident_labels, label_images
from kseg.inference.file_predictor import FileInfo


class Colours:
    """Probabilities that are an image's colours, as shares."""

    def probabilities(self, image):
        return image / np.maximum(image.sum(-1, keepdims=True), 1)


def test_the_likeliest_class_or_255():
    probabilities = np.random.default_rng(0).dirichlet((0.5, 0.5, 0.5), (9, 7))
    labels = confident_labels(probabilities, 0.7)
    for row in range(9):
        for column in range(7):
            best = max(range(3), key=lambda k: probabilities[row, column, k])
            expected = best if probabilities[row, column, best] >= 0.7 else 255
            assert labels[row, column] == expected
    assert labels.dtype == np.uint8
    assert (confident_labels(probabilities, 0) != 255).all()
    with pytest.raises(SettingsError):
        confident_labels(probabilities, 1.5)
    with pytest.raises(SettingsError, match="256 classes"):
        confident_labels(np.full((2, 2, 256), 1 / 256))


def test_masks_beside_nothing_else(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.zeros((5, 6, 3), np.uint8)
    image[:, :2], image[:, 2:4], image[:, 4:] = (255, 0, 0), (100, 100, 90), (0, 0, 200)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), image[..., ::-1])
    found = dict(label_images(Colours(), tmp_path / "in", tmp_path / "out", 0.8))
    assert sorted(found) == [tmp_path / "out" / "a.png", tmp_path / "out" / "b.png"]
    mask = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.repeat([[0, 0, 255, 255, 2, 2]], 5, 0))
    assert set(found.values()) == {2 / 3}


def test_images_whose_masks_would_have_one_name_are_refused(tmp_path):
    for name in ("a.png", "a.bmp"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"out/a\.png: two images .*/a\.bmp and .*/a\.png: rename one"):
        list(label_images(Colours(), tmp_path, tmp_path / "out"))
    with pytest.raises(SettingsError, match="holds input images"):
        list(label_images(Colours(), tmp_path, tmp_path))


def test_nothing_given_is_overwritten(tmp_path):
    """An image named by itself lies in the output folder, or the folder is a file."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(SettingsError, match="would overwrite this input image"):
        list(label_images(Colours(), tmp_path / "a.png", tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="not a folder"):
        list(label_images(Colours(), tmp_path / "a.png", tmp_path / "file"))
    assert (tmp_path / "a.png").read_bytes() == before


def test_classes_that_overlap_have_no_label(tmp_path):
    overlapping = Colours()
    overlapping.info = FileInfo(multilabel=True)
    with pytest.raises(SettingsError, match="overlap"):
        list(label_images(overlapping, tmp_path, tmp_path / "out"))


def test_a_damaged_image_ends_the_work_or_is_named_and_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), np.full((4, 4, 3), 9, np.uint8))
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"in/b\.png"):
        list(label_images(Colours(), tmp_path / "in", tmp_path / "out"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png"]
    with pytest.warns(KsegWarning, match=r"in/b\.png"):
        found = [path.name for path, _ in label_images(Colours(), tmp_path / "in", tmp_path / "out", keep_going=True)]
    assert found == ["a.png", "c.png"] == sorted(path.name for path in (tmp_path / "out").iterdir())


def test_a_full_disk_ends_the_work_all_the_same(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("a", "b", "c"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((4, 4, 3), 9, np.uint8))
    labelled = label_images(Colours(), tmp_path, tmp_path / "out", keep_going=True)
    next(labelled)
    monkeypatch.setattr("kseg.inference.files.pseudo_labels.write_bytes", full)
    with pytest.raises(FileError, match="No space left on device; 2 of 3 images are not labelled"):
        next(labelled)
