import pytest

from kseg.data import datasets, load
from kseg.errors import DataError


def test_every_name_is_described_and_loads_or_says_why(tmp_path):
    names = ["shapes", "folder", "camvid", "voc", "ade20k", "cityscapes", "oxford_iiit_pet", "people"]
    names.append("tfds:NAME")
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


def test_splits_with_fixed_counts_have_names():
    found = {name: what.split_names for name, what in datasets().items()}
    assert found["camvid"] == ("train", "val", "test")
    assert found["cityscapes"][-2:] == ("train_extra", "train_all")
    assert found["folder"] == found["tfds:NAME"] == ()
    for name in ("voc", "ade20k", "cityscapes", "oxford_iiit_pet", "camvid"):
        assert datasets()[name].page.startswith("http")
        assert "GB" in datasets()[name].size
