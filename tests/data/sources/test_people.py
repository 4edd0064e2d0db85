import numpy as np
import pytest

from kseg.data import load
from kseg.errors import DataError


def test_both_sources_and_their_ids(people_root):
    plain, val = load("people", people_root, "train_plain"), load("people", people_root, "val_plain")
    assert (len(plain), len(val)) == (1 + 9, 1 + 1)
    assert plain.classes == ("background", "person")
    _, mask = plain.load(0)
    assert (mask[30:, 25:40] == 1).all()
    assert (mask[18:20] == 255).all()
    assert (mask[:10, 50:] == 0).all()
    _, mask = plain.load(1)
    assert mask.sum() == 60 * 20
    assert val.name_of(1) == "09"
    assert not {plain.name_of(i) for i in range(10)} & {val.name_of(i) for i in range(2)}


def test_the_older_names_of_the_splits_are_the_same_images(people_root):
    for split in ("train", "val"):
        now, then = load("people", people_root, split), load("people", people_root, f"{split}_plain")
        assert [now.name_of(i) for i in range(len(now))] == [then.name_of(i) for i in range(len(then))]
        for (image, mask), (image_then, mask_then) in zip(now, then, strict=True):
            np.testing.assert_array_equal(image, image_then)
            np.testing.assert_array_equal(mask, mask_then)


def test_large_images_are_refused(people_root):
    with pytest.raises(DataError, match=r"a\.jpg"):
        load("people", people_root, max_pixels=1000).load(0)


def test_splits_that_were_the_presets_own_are_said_to_be_made_elsewhere(people_root):
    for split in ("val_portraits", "val_empty"):
        with pytest.raises(DataError, match=r"tools/people/framed\.py"):
            load("people", people_root, split)


def test_one_source_is_enough_and_none_is_named(people_root, tmp_path):
    assert len(load("people", people_root / "ccp_people", "train_plain")) == 9
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected voc_people"):
        load("people", tmp_path / "empty")
    with pytest.raises(DataError, match="no split 'test'"):
        load("people", people_root, "test")


@pytest.mark.realdata
def test_real_counts(real_data):
    assert len(load("people", real_data, "train_plain")) == 561 + 904
    assert len(load("people", real_data, "val_plain")) == 78 + 100
