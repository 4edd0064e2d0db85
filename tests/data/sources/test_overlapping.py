"""Folders of masks, one a class, of classes that overlap."""

import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.data import Sample, from_pairs, load
from kseg.errors import DataError, SettingsError


def folder(root, masks, *, split="", white=1, classes=("disk", "band")):
    """Images and masks (count, height, width, classes) as files."""
    for number, mask in enumerate(masks):
        pixels = np.repeat(mask[..., :1], 3, axis=-1) * 90 + number
        for place, array in (
            (f"images/{split}", pixels),
            *zip((f"masks/{split}/{c}" for c in classes), np.moveaxis(mask, -1, 0) * white, strict=True),
        ):
            (root / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.astype(np.uint8)).save(root / place / f"{number}.png")
    (root / "classes.txt").write_text("\n".join(classes))
    return root


@pytest.fixture
def masks():
    return np.random.default_rng(0).integers(0, 2, (5, 10, 12, 2), dtype=np.uint8)


@pytest.mark.parametrize("split", ["", "train"])
@pytest.mark.parametrize("white", [1, 255])
def test_each_class_has_a_folder(tmp_path, masks, split, white):
    data = load("folder", folder(tmp_path, masks, split=split, white=white))
    assert (data.classes, data.multilabel, len(data)) == (("disk", "band"), True, 5)
    assert (0, 0, 0) not in data.palette
    for (_, found), mask in zip(data, masks, strict=True):
        np.testing.assert_array_equal(found, mask)


def test_255_is_ignored_where_a_mask_holds_1(tmp_path, masks):
    masks[0, :2] = 255
    data = load("folder", folder(tmp_path, masks))
    np.testing.assert_array_equal(data[0][1], masks[0])


def test_one_class_in_a_folder(tmp_path, masks):
    data = load("folder", folder(tmp_path, masks[..., :1], classes=("crack",)))
    assert (data.classes, data.multilabel) == (("crack",), True)
    np.testing.assert_array_equal(data[3][1], masks[3, ..., :1])


def test_pairs_of_folders_and_of_lists(tmp_path, masks):
    folder(tmp_path, masks, white=255)
    data = from_pairs(tmp_path / "images", tmp_path / "masks", ["band", "disk"], multilabel=True)
    np.testing.assert_array_equal(data[2][1], masks[2, ..., ::-1])
    images = [tmp_path / "images" / f"{number}.png" for number in range(5)]
    files = [[tmp_path / "masks" / name / path.name for name in ("disk", "band")] for path in images]
    data = from_pairs(images, files, ["disk", "band"], multilabel=True)
    np.testing.assert_array_equal(data[2][1], masks[2])
    with pytest.raises(DataError, match="give multilabel=True"):
        from_pairs(images, files, ["disk", "band"])
    with pytest.raises(DataError, match=r"2 mask file\(s\) for 3 classes"):
        from_pairs(images, files, ["a", "b", "c"], multilabel=True)[0]


def test_what_is_wrong_is_said(tmp_path, masks):
    folder(tmp_path, masks)
    Image.fromarray(np.full((10, 12), 7, np.uint8)).save(tmp_path / "masks/band/1.png")
    Image.fromarray(np.zeros((4, 12), np.uint8)).save(tmp_path / "masks/band/2.png")
    data = load("folder", tmp_path)
    with pytest.raises(DataError, match=r"1\.png.*the value 7 in the mask of class band"):
        data[1]
    with pytest.raises(
        DataError, match=r"band/2\.png and .*disk/2\.png: masks of one image have different sizes, 4x12"
    ):
        data[2]
    (tmp_path / "masks/band/2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png: no mask found; expected .*masks/band/2\.png"):
        load("folder", tmp_path)
    (tmp_path / "classes.txt").write_text("disk\nband\nring\n")
    with pytest.raises(DataError, match=r"masks/ring: no such folder, though disk has one"):
        load("folder", tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"holds the folders band, disk and no masks: where each is a class"):
        load("folder", tmp_path)


def test_a_folder_below_a_split_is_no_class_where_images_have_it_too(tmp_path):
    for part in ("images", "masks"):
        (tmp_path / part / "train" / "road").mkdir(parents=True)
        Image.fromarray(np.ones((4, 4), np.uint8)).save(tmp_path / part / "train" / "road" / "a.png")
    (tmp_path / "classes.txt").write_text("road\ncar\n")
    data = load("folder", tmp_path)
    assert not data.multilabel
    assert data[0][1].shape == (4, 4)


def test_parts_counts_and_other_classes(tmp_path, masks):
    masks[..., 1] = 0
    masks[[1, 4], 3, 3, 1] = 1
    data = load("folder", folder(tmp_path, masks))
    train, val = data.split(0.4, seed=1, stratify=True)
    assert [sum(mask[..., 1].any() for _, mask in part) for part in (train, val)] == [1, 1]
    assert kseg.data.class_histogram(data).pixels.tolist() == masks.sum((0, 1, 2)).tolist()
    assert kseg.data.class_histogram(data).labelled_where_present.tolist() == [5 * 120, 2 * 120]
    with pytest.raises(SettingsError, match="classes that exclude each other"):
        data.remap({"disk": "ring"})


def test_files_of_a_sample():
    assert [path.name for path in Sample("a.jpg", ("x.png", "y.png")).masks] == ["x.png", "y.png"]
    assert [path.name for path in Sample("a.jpg", "x.png").masks] == ["x.png"]
    assert Sample("a.jpg").masks == ()
