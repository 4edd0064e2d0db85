import json

import cv2
import numpy as np

from kseg.cli.main import main
from kseg.data import load


def coco(root):
    (root / "photos").mkdir()
    images = []
    for index in range(5):
        cv2.imwrite(str(root / f"photos/{index}.png"), np.full((6, 8, 3), 30 * index, np.uint8))
        images.append({"id": index, "file_name": f"{index}.png", "height": 6, "width": 8})
    box = [[2, 1, 7, 1, 7, 4, 2, 4]]
    content = {
        "images": images,
        "categories": [{"id": 4, "name": "cat"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 4, "segmentation": box} for i in range(5)],
    }
    (root / "a.json").write_text(json.dumps(content))
    return root / "a.json"


def test_coco_there_and_back(tmp_path, capsys):
    source, out = coco(tmp_path), tmp_path / "mine"
    args = [
        "convert",
        "coco",
        str(source),
        "--images",
        str(tmp_path / "photos"),
        "--out",
        str(out),
        "--val",
        "0.4",
    ]
    assert main(args) == 0
    assert "3 train, 2 val; classes: background, cat" in capsys.readouterr().out
    assert len(load("folder", out, "val")) == 2
    assert main(["check-data", str(out)]) == 0
    assert main(["convert", "folder", str(out), "--out", str(tmp_path / "back.json")]) == 0
    back = json.loads((tmp_path / "back.json").read_text())
    assert [one["area"] for one in back["annotations"]] == [15, 15, 15]
    assert back["categories"] == [{"id": 1, "name": "cat"}]


def test_yolo_with_all_its_splits(tmp_path, capsys):
    for split in ("train", "valid"):
        for part in ("images", "labels"):
            (tmp_path / "in" / split / part).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f"in/{split}/images/a.jpg"), np.zeros((6, 8, 3), np.uint8))
        (tmp_path / f"in/{split}/labels/a.txt").write_text("0 0.1 0.1 0.9 0.1 0.9 0.9\n")
    (tmp_path / "in/data.yaml").write_text("names: [cat]\n")
    assert main(["convert", "yolo", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert "1 train, 1 valid" in capsys.readouterr().out


def test_mistakes(tmp_path, mistake):
    source = coco(tmp_path)
    assert "--split has no meaning for coco" in mistake(
        "convert", "coco", source, "--out", "x", "--split", "train"
    )
    photos = ("--images", tmp_path / "photos")
    assert "no splits" in mistake("convert", "coco", source, *photos, "--out", "x.json", "--val", "0.5")
    assert "exists already" in mistake("convert", "coco", source, *photos, "--out", tmp_path)
    assert "no category 'dog'" in mistake(
        "convert", "coco", source, *photos, "--out", tmp_path / "y", "--classes", "dog"
    )
