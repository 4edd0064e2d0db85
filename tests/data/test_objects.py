import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from kseg.data import Dataset, Sample
from kseg.data.objects import (
    LabelledObject,
    box_overlaps,
    cut_out,
    find_objects,
    objects_of_boxes,
    objects_of_instances,
    objects_of_regions,
    with_context,
)
from kseg.errors import DataError

CLASSES = ("ground", "cat", "dog")
PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0))


def labels():
    """Two touching cats, 20x30 each, parted by nothing; a dog of 20x20 framed by void; a speck of dog."""
    mask = np.zeros((80, 100), np.uint8)
    mask[5:35, 10:30] = mask[5:35, 30:50] = 1
    mask[45:75, 55:85] = 255
    mask[50:70, 60:80] = 2
    mask[70:72, 2:5] = 2
    return mask


def instances():
    ids = np.zeros((80, 100), np.uint8)
    ids[5:35, 10:30], ids[5:35, 30:50] = 1, 2
    ids[45:75, 55:85] = 255
    ids[50:70, 60:80] = 7
    ids[70:72, 2:5] = 8
    return ids


def test_regions_are_connected_and_not_small():
    assert objects_of_regions(labels()) == [
        LabelledObject(1, (5, 10, 35, 50)),
        LabelledObject(2, (50, 60, 70, 80)),
    ]
    assert LabelledObject(2, (70, 2, 72, 5)) in objects_of_regions(labels(), least_pixels=6)
    assert objects_of_regions(np.full((40, 40), 255, np.uint8)) == []


def test_instance_masks_part_what_touches(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), instances())
    found = objects_of_instances(tmp_path / "a.png", labels())
    assert found == [
        LabelledObject(1, (5, 10, 35, 30)),
        LabelledObject(1, (5, 30, 35, 50)),
        LabelledObject(2, (50, 60, 70, 80)),
    ]
    with pytest.raises(DataError, match=r"a\.png.*80x100"):
        objects_of_instances(tmp_path / "a.png", labels()[:60])


def test_an_instance_has_its_most_frequent_class(tmp_path):
    mask = np.zeros((40, 40), np.uint8)
    mask[:, :25], mask[:, 25:30], mask[:, 30:] = 2, 1, 255
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 40), 3, np.uint8))
    assert objects_of_instances(tmp_path / "a.png", mask) == [LabelledObject(2, (0, 0, 40, 40))]
    assert objects_of_instances(tmp_path / "a.png", np.zeros_like(mask)) == []


def annotation(*objects) -> str:
    parts = [
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
        "</bndbox></object>"
        for name, a, b, c, d in objects
    ]
    return f"<annotation>{''.join(parts)}</annotation>"


def test_boxes_count_from_one_and_hold_their_class(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(
        annotation(
            ("cat", 11, 6, 30, 35), ("dog", 1, 1, 30, 30), ("bird", 11, 6, 30, 35), ("cat", 1, 1, -9, -9)
        )
    )
    assert objects_of_boxes(path, labels(), CLASSES) == [LabelledObject(1, (5, 10, 35, 30))]


@pytest.mark.parametrize(
    "text",
    [
        "<annotation>",
        annotation(("cat", 1, 1, "x", 5)),
        '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>',
        annotation(("cat", 1, 1, "inf", 5)),
    ],
)
def test_broken_annotations_are_named(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml"):
        objects_of_boxes(tmp_path / "a.xml", labels(), CLASSES)


def dataset(mask):
    return Dataset("two", "train", CLASSES, PALETTE, (Sample(mask.with_suffix(".jpg"), mask),))


def test_the_best_source_is_taken(tmp_path):
    """Regions first; with boxes beside the masks those; with instance masks those."""
    voc = dataset(tmp_path / "SegmentationClass" / "a.png")
    assert len(find_objects(voc, 0, labels())) == 2
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(annotation(("cat", 11, 6, 30, 35)))
    assert find_objects(voc, 0, labels()) == [LabelledObject(1, (5, 10, 35, 30))]
    (tmp_path / "SegmentationObject").mkdir()
    cv2.imwrite(str(tmp_path / "SegmentationObject" / "a.png"), instances())
    assert len(find_objects(voc, 0, labels())) == 3


@pytest.mark.parametrize("split", ["", "train"])
def test_instance_masks_beside_a_folder_of_masks(tmp_path, split):
    (tmp_path / "instances" / split).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "instances" / split / "a.png"), instances())
    assert len(find_objects(dataset(tmp_path / "masks" / split / "a.png"), 0, labels())) == 3


def test_context_grows_around_the_centre():
    # 20x40 around (20, 30), 1.2 times larger: 24x48.
    assert_array_equal(with_context([[10, 10, 30, 50]], 1.2), [[8, 6, 32, 54]])
    assert with_context([], 1.2).shape == (0, 4)
    assert_array_equal(with_context([[10, 20, 12, 23]], 0.01), [[11, 21, 12, 22]])


def test_cut_out_fills_beyond_the_picture():
    pixels = np.arange(12).reshape(3, 4)
    assert_array_equal(cut_out(pixels, (-1, 2, 2, 6), fill=9), [[9, 9, 9, 9], [2, 3, 9, 9], [6, 7, 9, 9]])
    assert_array_equal(cut_out(pixels, (5, 5, 7, 6), fill=9), [[9], [9]])
    assert_array_equal(cut_out(pixels, (0, 0, 3, 4)), pixels)


def test_overlap_of_halves():
    np.testing.assert_allclose(box_overlaps([[0, 0, 10, 10], [0, 5, 10, 15]], (0, 0, 10, 10)), [1, 1 / 3])
