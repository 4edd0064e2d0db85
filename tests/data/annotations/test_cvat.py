import cv2
import numpy as np
import pytest

from kseg.data import from_cvat
from kseg.errors import DataError

LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:128,0,0::\ncar:0,0,200::\n"
COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 0, 200)], np.uint8)
IDS = np.array([[0, 1, 2], [2, 2, 1]])


@pytest.fixture
def root(tmp_path):
    for folder in ("SegmentationClass", "JPEGImages", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"SegmentationClass/{name}.png"), COLOURS[IDS][..., ::-1])
        cv2.imwrite(str(tmp_path / f"JPEGImages/{name}.jpg"), np.zeros((2, 3, 3), np.uint8))
    (tmp_path / "labelmap.txt").write_text(LABELMAP)
    (tmp_path / "ImageSets/Segmentation/default.txt").write_text("b\n")
    return tmp_path


def test_an_export(root):
    dataset = from_cvat(root)
    assert dataset.classes == ("background", "road", "car")
    assert dataset.palette == tuple(map(tuple, COLOURS))
    assert [dataset.name_of(i) for i in range(len(dataset))] == ["b"]
    np.testing.assert_array_equal(dataset[0][1], IDS)
    (root / "ImageSets/Segmentation/default.txt").unlink()
    (root / "ImageSets/Segmentation").rmdir()
    assert len(from_cvat(root)) == 2


def test_images_elsewhere(root):
    (root / "JPEGImages").rename(root / "photos")
    with pytest.raises(DataError, match=r"JPEGImages: the folder does not exist; .*images="):
        from_cvat(root)
    assert len(from_cvat(root, images=root / "photos")) == 1


def test_what_is_missing(root):
    with pytest.raises(DataError, match=r"no list train\.txt; found the lists default"):
        from_cvat(root, "train")
    (root / "ImageSets/Segmentation/default.txt").write_text("c\n")
    with pytest.raises(DataError, match="c: no such image"):
        from_cvat(root)
    (root / "labelmap.txt").write_text(LABELMAP.replace("128,0,0", "127,0,0"))
    (root / "ImageSets/Segmentation/default.txt").write_text("a\n")
    with pytest.raises(DataError, match=r"belong to no class, such as \(128, 0, 0\)"):
        from_cvat(root)[0]
    (root / "labelmap.txt").unlink()
    with pytest.raises(DataError, match=r"expected labelmap\.txt and SegmentationClass/"):
        from_cvat(root)
