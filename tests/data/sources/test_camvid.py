import numpy as np
import pytest

from kseg.data import load
from kseg.data.sources.camvid import CLASSES
from kseg.errors import DataError


def test_void_is_ignored_and_both_layouts_are_read(tmp_path, write):
    write.folder_pair(tmp_path / "a", classes=12, split="train")
    dataset = load("camvid", tmp_path / "a")
    assert dataset.num_classes == 11
    stored = dataset.read(0)[1]
    expected = np.where(stored == 11, 255, stored)
    assert 255 in expected
    np.testing.assert_array_equal(dataset.load(0)[1], expected)

    (tmp_path / "b").mkdir()
    (tmp_path / "a/images/train").rename(tmp_path / "b/train")
    (tmp_path / "a/masks/train").rename(tmp_path / "b/trainannot")
    np.testing.assert_array_equal(load("camvid", tmp_path / "b").load(0)[1], expected)
    with pytest.raises(DataError, match="no split 'val'"):
        load("camvid", tmp_path / "b", "val")


@pytest.mark.realdata
def test_real_split(real_data):
    train, val = (load("camvid", real_data / "camvid", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    image, mask = val.load(0)
    assert image.shape == (360, 480, 3)
    assert mask.shape == (360, 480)
    assert set(np.unique(mask)) <= {*range(11), 255}
    # A street scene: the sky is above the road, and brighter.
    sky, road = mask == CLASSES.index("sky"), mask == CLASSES.index("road")
    assert np.nonzero(sky)[0].mean() < np.nonzero(road)[0].mean()
    assert image[sky].mean() > image[road].mean()
    with pytest.raises(DataError, match="no split 'nosuch'"):
        load("camvid", real_data / "camvid", "nosuch")
