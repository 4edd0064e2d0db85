import cv2
import numpy as np
import pytest

import kseg
from kseg.data.masks import check_ids, count_classes, kind_of, size_mismatch
from kseg.errors import DataError


def dataset(**kind):
    x, y = np.zeros((1, 4, 5, 3), np.uint8), np.zeros((1, 4, 5), np.uint8)
    y = np.zeros((1, 4, 5, 2), np.uint8) if kind else y
    return kseg.data.from_arrays(x, y, classes=["a", "b"], name="mine", **kind)


def test_ids_are_classes_or_ignored():
    one, several = dataset(), dataset(multilabel=True)
    labels = np.array([[0, 1, 255]], np.uint8)
    assert check_ids(labels, one, "m.png") is None
    assert check_ids(np.stack([labels, labels], -1), several, "m.npy") is None
    labels[0, 0] = 7
    with pytest.raises(DataError, match=r"m\.png: class id 7 in the mask, but mine has the classes 0 to 1"):
        check_ids(labels, one, "m.png")
    with pytest.raises(DataError, match=r"m\.npy: the value 7 in the mask of class a, where 0 and 1 are expected"):
        check_ids(np.stack([labels, labels], -1), several, "m.npy")


@pytest.mark.parametrize("strange", [-1, 2**40, 1.5, np.nan])
def test_ids_of_other_types_are_classes_too(strange):
    """As a data set with a reader of its own may give them."""
    labels = np.array([[0, 1, strange]])
    with pytest.raises(DataError, match=f"class id {strange!s}"):
        check_ids(labels, dataset(), "m.png")


def test_sizes_that_differ():
    assert "4x5" in size_mismatch("a", (4, 5), "b", (3, 3))
    assert "on its side" in size_mismatch("a", (4, 5), "b", (5, 4))
    assert "on its side" not in size_mismatch("a", (4, 5), "b", (3, 3))


def test_the_kind_of_data_that_does_not_say():
    assert kind_of(object()) == (3, (0, 255), False)
    assert kind_of(dataset(multilabel=True)) == (3, (0, 255), True)


def test_classes_are_counted_where_every_id_occurs():
    def masks(*ids):
        return ((f"mask {place}", np.array([one], np.uint8)) for place, one in enumerate(ids))

    assert count_classes(masks([0, 1], [2, 255]), "mine") == 3
    assert count_classes(masks([3, 1], [2]), "mine") == 4  # the background need not be seen
    assert count_classes(masks([0, 0]), "mine") == count_classes(masks(), "mine") == 1
    assert count_classes(masks([0, 1, 9]), "mine", ignore_label=9) == 2
    with pytest.raises(DataError, match=r"mask 1: class id 9 in the mask, and no mask of mine has 2, 3, .*classes=10"):
        count_classes(masks([0, 1], [9, 1], [9]), "mine")
    with pytest.raises(DataError, match="mine: the masks hold only 0 and 255"):
        count_classes(masks([0, 255]), "mine")


STRAY = np.zeros((3, 8, 8), np.uint8)
STRAY[:, 0], STRAY[2, 5, 5] = 1, 9
IMAGES = np.zeros((3, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    "use",
    [
        lambda pair: kseg.data.from_arrays(*pair),
        lambda pair: kseg.data.from_generator(lambda i: (pair[0][i], pair[1][i]), 3),
        lambda pair: kseg.data.Loader(pair, batch_size=1),
        lambda pair: kseg.data.class_histogram(pair),
        lambda pair: kseg.data.object_crops(pair, size=(8, 8)),
        lambda pair: kseg.data.as_dataset(list(zip(*pair, strict=True))),
    ],
)
def test_a_stray_id_makes_no_classes_anywhere(use):
    with pytest.raises(DataError, match=r"sample 2: class id 9 in the mask, and no mask of .* has 2, 3, 4"):
        use((IMAGES, STRAY))


def test_the_same_of_files_and_in_a_check(tmp_path):
    for kind, arrays in (("images", IMAGES), ("masks", STRAY)):
        (tmp_path / kind).mkdir()
        for index, array in enumerate(arrays):
            cv2.imwrite(str(tmp_path / kind / f"{index}.png"), array)
    for load in (
        lambda: kseg.data.load("folder", tmp_path),
        lambda: kseg.data.from_pairs(tmp_path / "images", tmp_path / "masks"),
    ):
        with pytest.raises(DataError, match=r"2\.png: class id 9 in the mask, and no mask of .* has 2, 3, 4"):
            load()
    assert kseg.data.from_pairs(tmp_path / "images", tmp_path / "masks", 10).num_classes == 10
    for source in (tmp_path, (IMAGES, STRAY)):
        findings = [one for one in kseg.data.check(source).findings if one.kind == "number of classes"]
        assert [one.fatal for one in findings] == [True]
        assert "the highest id is 9, and no mask has 2, 3, 4" in findings[0].message
    assert not [one for one in kseg.data.check((IMAGES, STRAY), 10).findings if one.kind == "number of classes"]
