import numpy as np
import pytest

from kseg.data.sources import ade20k, cityscapes
from kseg.errors import SettingsError
from kseg.inference.files.benchmark import benchmark_ids


def test_the_ids_are_those_that_the_readers_take_back():
    """Of cityscapesScripts' labels.py: road is 7, person 24, bicycle 33; ADE20K's wall is 1, its flag 150."""
    ids = benchmark_ids("cityscapes", 19, cityscapes.CLASSES)
    named = dict(zip(cityscapes.CLASSES, ids.tolist(), strict=True))
    assert (named["road"], named["person"], named["bicycle"]) == (7, 24, 33)
    assert [dict(cityscapes.STORED_IDS)[stored] for stored in ids] == list(range(19))
    assert benchmark_ids("ade20k", 150).tolist() == list(range(1, 151))


def test_classes_in_another_order_keep_their_ids():
    turned = benchmark_ids("ade20k", 150, ade20k.CLASSES[::-1])
    np.testing.assert_array_equal(turned, np.arange(150, 0, -1))


def test_other_classes_are_refused():
    for name, count, classes in (("voc", 21, None), ("cityscapes", 20, None), ("ade20k", 150, ["a"] * 150)):
        with pytest.raises(SettingsError, match=r"ids of cityscapes and ade20k|only a model of its classes"):
            benchmark_ids(name, count, classes)
