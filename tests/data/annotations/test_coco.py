import json

import cv2
import numpy as np
import pytest

from kseg.data import from_arrays, from_coco, to_coco
from kseg.data.annotations.polygons import fill_runs
from kseg.errors import DataError

BOX = [2, 1, 7, 1, 7, 4, 2, 4]  # rows 1-3, columns 2-6
SMALL = [3, 2, 5, 2, 5, 3, 3, 3]  # row 2, columns 3-4


@pytest.fixture
def make(tmp_path):
    """``make(annotation, ...)``: a file with an image of 6x8, categories 3 (dog) and 7 (cat), and annotations."""
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / "photos" / name), np.zeros((6, 8, 3), np.uint8))

    def write(*annotations, **changes):
        content = {
            "images": [
                {"id": 5, "file_name": "a.png", "height": 6, "width": 8},
                {"id": 6, "file_name": "b.png"},
            ],
            "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}],
            "annotations": [
                {"id": i, "image_id": 5, "category_id": 7, **one} for i, one in enumerate(annotations)
            ],
            **changes,
        }
        (tmp_path / "a.json").write_text(json.dumps(content))
        return tmp_path / "a.json", tmp_path / "photos"

    return write


def test_categories_with_gaps_become_classes_behind_the_background(make):
    dataset = from_coco(*make({"segmentation": [BOX]}, {"segmentation": [SMALL], "category_id": 3}))
    assert dataset.classes == ("background", "dog", "cat")
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:7], expected[2, 3:5] = 2, 1  # the smaller lies on top, whatever the order
    np.testing.assert_array_equal(dataset[0][1], expected)
    assert dataset[1][1].max() == 0  # an image without annotations


def test_chosen_classes_and_no_background(make):
    files = make({"segmentation": [BOX]}, {"segmentation": [SMALL], "category_id": 3})
    assert from_coco(*files, classes=["cat"]).classes == ("background", "cat")
    assert set(np.unique(from_coco(*files, classes=["cat"])[0][1])) == {0, 1}
    labels = from_coco(*files, background=None)[0][1]
    assert set(np.unique(labels)) == {0, 1, 255}
    with pytest.raises(DataError, match="no category 'bird'; it has cat, dog"):
        from_coco(*files, classes=["bird"])


def test_corners_far_outside(make):
    far = 1e9
    assert (from_coco(*make({"segmentation": [[-far, -far, far, -far, far, far, -far, far]]}))[0][1] == 2).all()
    with pytest.raises(DataError, match="annotation id 0: a polygon whose points are not all numbers"):
        from_coco(*make({"segmentation": [[0, 0, 10**400, 0, 5, 5]]}))
    with pytest.raises(DataError, match="annotation id 0: a corner"):
        from_coco(*make({"segmentation": [[0, 0, 1e300, 0, 5, 5]]}))[0]


def test_run_lengths_and_crowds(make):
    runs = {"counts": [7, 3, 38], "size": [6, 8]}
    dataset = from_coco(*make({"segmentation": [BOX]}, {"segmentation": runs, "iscrowd": 1}))
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:7], expected[1:4, 1] = 2, 255
    np.testing.assert_array_equal(dataset[0][1], expected)
    dataset = from_coco(*make({"segmentation": runs, "iscrowd": 1}), crowd="class")
    assert dataset[0][1][1, 1] == 2


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"segmentation": []}, "annotation id 0: it has no segmentation, as a box alone"),
        ({"bbox": [1, 2, 3, 4]}, "it has no segmentation"),
        ({"segmentation": [[1, 2, 3, 4]]}, "a polygon of 4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "a polygon of 5 numbers"),
        ({"segmentation": [[1, 2, "x", 4, 5, 6]]}, "a polygon whose points are not all numbers"),
        ({"segmentation": [BOX], "category_id": 4}, "the category 4 is in no list"),
        ({"segmentation": [BOX], "image_id": 9}, "annotations of the image 9"),
        ({"segmentation": {"size": [6, 8]}}, "run lengths without counts"),
        ({"segmentation": "x"}, "neither polygons nor run lengths"),
    ],
)
def test_bad_entries_are_named_at_once(make, annotation, says):
    with pytest.raises(DataError, match=says) as caught:
        from_coco(*make(annotation))
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "changes", "says"),
    [
        ({"segmentation": [[20, 20, 30, 20, 30, 30]]}, {}, "lies outside of the image of 6x8"),
        ({"segmentation": {"counts": [7, 3]}}, {}, "run lengths of 10 pixels for an image of 6x8"),
        (
            {"segmentation": [BOX]},
            {"images": [{"id": 5, "file_name": "a.png", "height": 8, "width": 6}]},
            "one lies on its side",
        ),
    ],
)
def test_what_does_not_fit_the_image_is_named(make, annotation, changes, says):
    dataset = from_coco(*make(annotation, **changes))
    with pytest.raises(DataError, match=says):
        dataset[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": []}, "lists no images"),
        ({"categories": "cat"}, "no list 'categories'"),
        ({"categories": [{"id": 7}]}, "category 0: expected an id and a name"),
        ({"images": [{"id": 5}]}, "no file_name"),
        ({"images": [{"id": 5, "file_name": "../x.png"}]}, "leads out of"),
        ({"images": [{"id": 5, "file_name": "no.png"}]}, "none of the images"),
        ({"images": [{"id": 5, "file_name": "a.png"}] * 2}, "two images have this id"),
    ],
)
def test_bad_files(make, changes, says):
    with pytest.raises(DataError, match=says):
        from_coco(*make(**changes))


def test_other_programs_json(make, tmp_path):
    _, photos = make()
    for text, says in (
        ('{"shapes": []}', "not a COCO annotation file"),
        ("[1]", "not a COCO"),
        ("{", "not a JSON file"),
    ):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(DataError, match=says):
            from_coco(tmp_path / "other.json", photos)


def test_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    masks = [
        cv2.resize(rng.integers(0, 4, (4, 5), dtype=np.uint8), (31, 23), interpolation=0) for _ in range(3)
    ]
    masks[0][masks[0] == 3] = 255
    masks = [np.where(mask == 3, 2, mask) for mask in masks]
    images = [np.full((23, 31, 3), 40 * i, np.uint8) for i in range(3)]
    dataset = from_arrays(images, masks, classes=["ground", "tree", "car"])
    path = to_coco(dataset, tmp_path / "out.json")
    (tmp_path / "photos").mkdir()
    for index, entry in enumerate(json.loads(path.read_text())["images"]):
        cv2.imwrite(str(tmp_path / "photos" / entry["file_name"]), images[index])
    again = from_coco(path, tmp_path / "photos", background="ground")
    assert again.classes == dataset.classes
    for index in range(3):
        np.testing.assert_array_equal(again[index][1], dataset[index][1])


def test_what_was_read_from_jpeg_files_names_them_again(tmp_path):
    """Whole, and parts of it."""
    import json

    import cv2
    import numpy as np

    from kseg.data import from_coco, to_coco

    records = {"images": [], "categories": [{"id": 3, "name": "car"}], "annotations": []}
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((40, 50, 3), 90, np.uint8))
        records["images"].append({"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 50})
        square = [[4, 5, 30, 5, 30, 20 + number, 4, 20 + number]]
        records["annotations"].append(
            {"id": number, "image_id": number, "category_id": 3, "iscrowd": 0, "segmentation": square}
        )
    (tmp_path / "in.json").write_text(json.dumps(records))
    dataset = from_coco(tmp_path / "in.json", tmp_path)
    for part in (dataset, dataset[1:]):
        again = from_coco(to_coco(part, tmp_path / "out.json"), tmp_path)
        assert len(again) == len(part)
        for (_, one), (_, other) in zip(again, part, strict=True):
            np.testing.assert_array_equal(one, other)


def test_classes_that_overlap_are_all_written(tmp_path):
    masks = np.random.default_rng(0).integers(0, 2, (2, 9, 11, 2), dtype=np.uint8)
    masks[1, 0] = 255
    data = from_arrays(np.zeros((2, 9, 11, 3), np.uint8), masks, classes=["a", "b"], multilabel=True)
    found = json.loads(to_coco(data, tmp_path / "a.json").read_text())
    again = np.zeros_like(masks)
    for one in found["annotations"]:
        region = fill_runs(tuple(one["segmentation"]["counts"]), 9, 11)
        again[one["image_id"] - 1, region, one["category_id"]] = 255 if one["iscrowd"] else 1
    np.testing.assert_array_equal(again, masks)


ODD = [
    ({"image_id": [1]}, "annotation id 1: the image \\[1\\], where its id is expected"),
    ({"category_id": [3]}, "annotation id 1: the category \\[3\\] is in no list"),
    ({"segmentation": [[2, 1, float("nan"), 1, 7, 4]]}, "a polygon whose points are not all numbers"),
    ({"segmentation": [["2", 1, 7, 1, 7, 4]]}, "a polygon whose points are not all numbers"),
    ({"segmentation": [[True, 1, 7, 1, 7, 4]]}, "a polygon whose points are not all numbers"),
    ({"segmentation": {"counts": [9, "a"], "size": [6, 8]}}, "run lengths that are no whole numbers"),
    ({"segmentation": {"counts": [9, 39], "size": [8, 6]}}, r"run lengths for \(8, 6\) pixels .* of \(6, 8\)"),
]


@pytest.mark.parametrize(("changes", "says"), ODD)
def test_odd_entries(tmp_path, changes, says):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8, 3), np.uint8))
    entry = {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [BOX], "iscrowd": 0, **changes}
    content = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 3, "name": "x"}]}
    content["annotations"] = [entry]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=says):
        from_coco(tmp_path / "a.json", tmp_path)[0]
    content["images"][0]["id"] = [1]
    (tmp_path / "a.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(DataError, match=r"image id .*: it has no id"):
        from_coco(tmp_path / "a.json", tmp_path)
