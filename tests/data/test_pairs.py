import numpy as np
import pytest
from PIL import Image

from kseg.data.pairs import beside_splits, list_images, pair, splits_of, without_image, without_mask
from kseg.errors import DataError


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((2, 3), np.uint8)).save(path, "PNG")


def test_subfolders_and_endings_of_any_case(tmp_path):
    touch(
        tmp_path,
        "images/b.PNG",
        "images/sub/a.TIF",
        "images/sub/deep/c.jpeg",
        "images/.hidden/x.png",
        "images/._b.png",
    )
    touch(tmp_path, "images/__MACOSX/b.png", "masks/b.png", "masks/sub/a.png", "masks/sub/deep/c.bmp")
    samples = pair(tmp_path / "images", tmp_path / "masks")
    assert [(s.image.relative_to(tmp_path).as_posix(), s.mask.name, s.name) for s in samples] == [
        ("images/b.PNG", "b.png", None),
        ("images/sub/a.TIF", "a.png", "sub_a"),
        ("images/sub/deep/c.jpeg", "c.bmp", "sub_deep_c"),
    ]


def test_what_is_left_out_is_told(tmp_path):
    touch(tmp_path, "a.png", "no_ending", "odd.dat", "b.png/inside.png")
    (tmp_path / "c.heic").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    listing = list_images(tmp_path)
    assert list(listing.files) == ["a", "b.png/inside"]
    told = {left.file.name: left.why for left in listing.left_out}
    assert set(told) == {"no_ending", "odd.dat", "b.png", "c.heic"}
    assert "does not read .heic" in told["c.heic"]
    assert "rename" in told["odd.dat"]


@pytest.mark.parametrize(
    ("mask", "hint"), [("A.png", "A.png is near"), ("a_mask.png", "a_mask.png is near"), ("q.png", "")]
)
def test_a_missing_mask_with_the_nearest_name(tmp_path, mask, hint):
    touch(tmp_path, "images/a.jpg", f"masks/{mask}")
    found, labelled = list_images(tmp_path / "images"), list_images(tmp_path / "masks")
    (left,) = without_mask(found, labelled)
    assert hint in left.why
    assert ("near" in left.why) == bool(hint)
    (other,) = without_image(found, labelled)
    assert other.file.name == mask
    assert other.why.endswith(f"images/{mask[:-4]}.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: no mask found; expected .*masks.a\.png"):
        pair(tmp_path / "images", tmp_path / "masks")
    assert pair(tmp_path / "images", tmp_path / "masks", complete=False)[0].mask == tmp_path / "masks/a.png"


def test_beside_the_split_folders(tmp_path):
    touch(
        tmp_path, "images/train/a.png", "masks/train/a.png", "images/b.png", "masks/b.png", "masks/test/c.png"
    )
    assert splits_of(tmp_path) == ["train"]
    assert sorted((left.kind, left.file.name) for left in beside_splits(tmp_path)) == [
        ("no image", "test"),
        ("no split", "b.png"),
        ("no split", "b.png"),
    ]


def test_a_folder_without_splits_has_nothing_beside_them(tmp_path):
    touch(tmp_path, "images/a.png", "masks/a.png")
    assert splits_of(tmp_path) == ["train"]
    assert beside_splits(tmp_path) == ()
