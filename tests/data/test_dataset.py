from dataclasses import FrozenInstanceError, replace

import cv2
import numpy as np
import pytest

from kseg.data import Dataset, Sample
from kseg.errors import DataError
from kseg.io.colour_map import colour_map


@pytest.fixture
def dataset(tmp_path):
    image = np.full((5, 7, 3), 40, np.uint8)
    mask = np.array([[0, 1, 2, 11, 255, 0, 0]] * 5, np.uint8)
    cv2.imwrite(str(tmp_path / "one.png"), image)
    cv2.imwrite(str(tmp_path / "one_mask.png"), mask)
    samples = (Sample(tmp_path / "one.png", tmp_path / "one_mask.png"),)
    return Dataset("d", "train", ("a", "b", "c"), colour_map(3), samples, stored_ids=((11, 255),))


def test_load_maps_stored_ids(dataset):
    image, mask = dataset.load(0)
    assert image.shape == (5, 7, 3)
    np.testing.assert_array_equal(mask[0], [0, 1, 2, 255, 255, 0, 0])
    assert (len(dataset), dataset.num_classes, dataset.name_of(0)) == (1, 3, "one")
    assert dataset.file_of(0) == dataset.samples[0].image


def test_unknown_id_names_file_and_ids(dataset):
    with pytest.raises(DataError, match=r"one_mask\.png: class id 2, 11 in the mask.*classes 0 to 1"):
        replace(dataset, classes=("a", "b"), palette=colour_map(2), stored_ids=()).load(0)


def test_other_size_names_both_files_and_sizes(dataset, tmp_path):
    cv2.imwrite(str(tmp_path / "one_mask.png"), np.zeros((5, 6), np.uint8))
    with pytest.raises(DataError, match=r"one_mask\.png.* 5x6 .*one\.png has 5x7"):
        dataset.load(0)
    cv2.imwrite(str(tmp_path / "one_mask.png"), np.zeros((7, 5), np.uint8))
    with pytest.raises(DataError, match="EXIF"):
        dataset.load(0)


def test_picture_without_mask(dataset, tmp_path):
    with pytest.raises(DataError, match=r"one\.png: this image has no mask"):
        replace(dataset, samples=(Sample(tmp_path / "one.png"),)).load(0)


def test_frozen_and_checked(dataset):
    with pytest.raises(FrozenInstanceError):
        dataset.name = "other"
    with pytest.raises(DataError, match="3 classes but 2 palette"):
        replace(dataset, palette=colour_map(2))
    with pytest.raises(DataError, match="1 to 255 classes"):
        replace(dataset, classes=(), palette=())
    with pytest.raises(DataError, match="the class 'a' is there twice, as 0 and 2"):
        replace(dataset, classes=("a", "b", "a"))
    with pytest.raises(DataError, match="class names are texts, got 1"):
        replace(dataset, classes=("a", "b", 1))


def test_colour_map_is_the_devkit_one():
    # VOC2012 devkit, VOClabelcolormap: background, aeroplane, bicycle, ..., person, ..., void
    colours = colour_map(256)
    assert colours[0] == (0, 0, 0)
    assert colours[1] == (128, 0, 0)
    assert colours[2] == (0, 128, 0)
    assert colours[15] == (192, 128, 128)
    assert colours[255] == (224, 224, 192)
    assert len(set(colours)) == 256
