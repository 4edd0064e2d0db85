import json

import cv2
import numpy as np
import pytest

from kseg.data import from_roboflow
from kseg.errors import DataError


def test_masks(tmp_path):
    (tmp_path / "valid").mkdir()
    mask = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"valid/{name}.jpg"), np.zeros((2, 3, 3), np.uint8))
        cv2.imwrite(str(tmp_path / f"valid/{name}_mask.png"), mask)
    (tmp_path / "valid/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, leaf\n2, stem\n")
    dataset = from_roboflow(tmp_path, "val")
    assert (len(dataset), dataset.classes) == (2, ("background", "leaf", "stem"))
    np.testing.assert_array_equal(dataset[1][1], mask)


def test_coco(tmp_path):
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train/a.jpg"), np.zeros((6, 8, 3), np.uint8))
    content = {
        "images": [{"id": 0, "file_name": "a.jpg", "height": 6, "width": 8}],
        "categories": [{"id": 0, "name": "leaves"}, {"id": 1, "name": "leaf"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 1, "segmentation": [[2, 1, 7, 1, 7, 4, 2, 4]]}
        ],
    }
    (tmp_path / "train/_annotations.coco.json").write_text(json.dumps(content))
    dataset = from_roboflow(tmp_path, classes=["leaf"])
    assert dataset.classes == ("background", "leaf")
    assert dataset[0][1].sum() == 15


def test_what_is_missing(tmp_path):
    with pytest.raises(DataError, match="train: the folder does not exist"):
        from_roboflow(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(
        DataError, match=r"expected _annotations\.coco\.json or _classes\.csv, and found nothing"
    ):
        from_roboflow(tmp_path)
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n")
    with pytest.raises(DataError, match="no image has a mask"):
        from_roboflow(tmp_path)


def test_the_group_that_roboflow_puts_first_is_no_class(tmp_path):
    (tmp_path / "train").mkdir()
    cv2.imwrite(str(tmp_path / "train" / "a.jpg"), np.zeros((6, 8, 3), np.uint8))
    group = {"id": 0, "name": "things", "supercategory": "none"}
    categories = [group, {"id": 1, "name": "car", "supercategory": "things"}]
    box = {"id": 0, "image_id": 0, "category_id": 1, "segmentation": [[2, 1, 7, 1, 7, 4, 2, 4]], "iscrowd": 0}
    content = {"images": [{"id": 0, "file_name": "a.jpg"}], "annotations": [box], "categories": categories}
    (tmp_path / "train" / "_annotations.coco.json").write_text(json.dumps(content))
    data = from_roboflow(tmp_path)
    assert data.classes == ("background", "car")
    assert data[0][1].max() == 1
    box["category_id"] = 0  # used as a class, it stays one
    (tmp_path / "train" / "_annotations.coco.json").write_text(json.dumps(content))
    assert from_roboflow(tmp_path).classes == ("background", "things", "car")
