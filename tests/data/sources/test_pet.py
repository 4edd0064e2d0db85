"""Oxford-IIIT Pet in the layout of its two archives; as tfds prepares it: test_tfds_source.py."""

import cv2
import numpy as np
import pytest

from kseg.data import load
from kseg.errors import DataError

HEADER = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"


@pytest.fixture
def unpacked(tmp_path):
    root = tmp_path / "oxford-iiit-pet"
    (root / "images").mkdir(parents=True)
    (root / "annotations/trimaps").mkdir(parents=True)
    (root / "annotations/xmls").mkdir()
    names = ["Abyssinian_100", "beagle_12", "wheaten_terrier_9"]
    for index, name in enumerate(names):
        trimap = np.full((6, 8), 2, np.uint8)
        trimap[2:5, 2:6] = 3
        trimap[3, 3:5] = 1
        cv2.imwrite(str(root / f"images/{name}.jpg"), np.full((6, 8, 3), 50 * index, np.uint8))
        cv2.imwrite(str(root / f"annotations/trimaps/{name}.png"), trimap)
        (root / f"annotations/trimaps/._{name}.png").write_bytes(b"Mac OS X")  # as in the archive
    (root / "annotations/README").write_text("")
    (root / "annotations/list.txt").write_text(HEADER + "".join(f"{n} 1 1 1\n" for n in names))
    (root / "annotations/trainval.txt").write_text(f"{names[0]} 1 1 1\n{names[1]} 5 2 4\n")
    (root / "annotations/test.txt").write_text(f"{names[2]} 37 2 25\n")
    return root


def test_trimaps_become_three_classes(unpacked):
    for root in (unpacked, unpacked.parent):
        train, test = load("oxford_iiit_pet", root), load("oxford_iiit_pet", root, "test")
        assert (len(train), len(test)) == (2, 1)
        assert train.classes == ("pet", "background", "border")
    labels = test.load(0)[1]
    assert (labels[3, 3], labels[0, 0], labels[2, 2]) == (0, 1, 2)
    assert test.name_of(0) == "wheaten_terrier_9"
    np.testing.assert_array_equal(train.load(1)[0], np.full((6, 8, 3), 50))


def test_a_label_outside_the_map_names_its_file(unpacked):
    cv2.imwrite(str(unpacked / "annotations/trimaps/beagle_12.png"), np.full((6, 8), 7, np.uint8))
    with pytest.raises(DataError, match=r"beagle_12\.png: class id 7"):
        load("oxford_iiit_pet", unpacked).load(1)


def test_wrong_layouts_say_what_was_expected_and_found(unpacked, tmp_path):
    with pytest.raises(DataError, match="has no split 'val'; it has train, test"):
        load("oxford_iiit_pet", unpacked, "val")
    (unpacked / "images/beagle_12.jpg").unlink()
    with pytest.raises(DataError, match=r"beagle_12\.jpg: no such file, though .*trainval\.txt names it"):
        load("oxford_iiit_pet", unpacked)
    assert len(load("oxford_iiit_pet", unpacked, complete=False)) == 2
    (unpacked / "annotations/test.txt").write_text("../../secret 1 1 1\n")
    with pytest.raises(DataError, match=r"test\.txt: '../../secret\.jpg' leads out of"):
        load("oxford_iiit_pet", unpacked, "test")
    (unpacked / "images").rename(unpacked / "pictures")
    with pytest.raises(
        DataError, match="no folder images/ beside annotations/; expected images/, annotations/trimaps/"
    ):
        load("oxford_iiit_pet", unpacked)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"tfds build .*or unpack images\.tar\.gz and annotations\.tar\.gz"):
        load("oxford_iiit_pet", empty)
