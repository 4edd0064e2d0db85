"""Which images of the development data are listed, by source and split."""

import importlib
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delitem(sys.modules, "listing", raising=False)
    return importlib.import_module("listing")


@pytest.fixture
def root(tmp_path):
    """A folder like the development data: one image or two of each source and split, eleven of Clothing Co-Parsing."""
    lists = tmp_path / "voc_people/VOCdevkit/VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("one\ntwo\n")
    (lists / "val.txt").write_text("three\n")
    images = [f"ccp_people/images/{number:04}.jpg" for number in range(11)]
    images += ["unlabelled_people/images/street.jpg", "rooms/images/train/sun_04242.jpg"]
    for source in ("coco128", "voc_vehicles", "voc_animals", "rooms"):
        images += [f"{source}/images/{split}/image.jpg" for split in ("train", "val")]
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).touch()
    return tmp_path


def test_sources_splits_and_masks(module, root):
    found = module.listing(root)
    counted = Counter((one.source, one.split) for one in found)
    four = {(s, t): 1 for s in ("coco128", "voc_vehicles", "voc_animals", "rooms") for t in ("train", "val")}
    assert counted == four | {
        ("voc_people", "train"): 2,
        ("voc_people", "val"): 1,
        ("ccp_people", "train"): 10,
        ("ccp_people", "val"): 1,
        ("unlabelled_people", "train"): 1,
    }
    assert [one.name for one in found if one.mask is None] == ["unlabelled_people/train/street"]
    assert all(one.mask.stem == one.image.stem for one in found if one.mask)


def test_images_whose_masks_leave_people_out_are_not_listed(module, root):
    assert (root / "rooms/images/train/sun_04242.jpg").is_file()
    assert "rooms/train/sun_04242" in module.UNMARKED
    assert not module.UNMARKED & {one.name for one in module.listing(root)}


@pytest.mark.realdata
def test_every_image_left_out_is_one_of_the_data_and_has_nobody_in_its_mask(module, monkeypatch):
    data = Path(os.environ.get("KSEG_DATA", "../shared/data"))
    if not (data / "voc_animals").is_dir():
        pytest.skip("needs the development data")
    unmarked = module.UNMARKED
    monkeypatch.setattr(module, "UNMARKED", frozenset())
    left_out = [one for one in module.listing(data) if one.name in unmarked]
    assert len(left_out) == len(unmarked)
    assert not any((one.read_mask() == 1).any() for one in left_out)
