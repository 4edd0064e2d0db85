import pytest

from kseg.data import datasets, load
from kseg.errors import DataError


def test_every_name_is_described_and_loads_or_says_why(tmp_path):
    names = ["shapes", "folder", "camvid", "voc", "ade20k", "cityscapes", "oxford_iiit_pet", "tfds:NAME"]
    assert list(datasets()) == names
    for name, description in datasets().items():
        assert description.summary
        assert description.layout
        assert description.splits
        if name != "shapes":
            with pytest.raises(DataError, match=str(tmp_path)):
                load(name, tmp_path)


def test_unknown_name_lists_the_known():
    with pytest.raises(DataError, match="no data set named 'cityscape'; known are shapes, folder, camvid"):
        load("cityscape")
