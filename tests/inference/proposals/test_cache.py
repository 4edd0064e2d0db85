import numpy as np
import pytest
from numpy.testing import assert_array_equal

from kseg.errors import SettingsError
from kseg.inference import ProposalCache
from kseg.inference.proposals.cache import default_cache_folder, edge_box_settings

BOXES = np.array([[0, 1, 9, 8], [2, 2, 10, 12]], np.int32)
IMAGE = np.random.default_rng(0).integers(0, 256, (10, 12, 3), dtype=np.uint8)


class Search:
    def __init__(self, boxes=BOXES):
        self.boxes, self.asked = boxes, 0

    def __call__(self, image, count):
        self.asked += 1
        return self.boxes[:count]


def test_a_picture_is_searched_once(tmp_path):
    search = Search()
    cache = ProposalCache(tmp_path / "a" / "b", search, settings="1")
    assert_array_equal(cache(IMAGE, 5), BOXES)
    again = ProposalCache(tmp_path / "a" / "b", search, settings="1")
    found = again(IMAGE.copy(), 5)
    assert_array_equal(found, BOXES)
    assert found.dtype == np.int32
    assert search.asked == 1
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == [cache.path_of(IMAGE, 5).name]


def test_other_pictures_counts_and_settings_are_others(tmp_path):
    search = Search()
    changed = IMAGE.copy()
    changed[3, 4, 1] ^= 1
    for image, count, settings in (
        (IMAGE, 5, "1"), (changed, 5, "1"), (IMAGE, 1, "1"), (IMAGE, 5, "2"), (IMAGE.reshape(12, 10, 3), 5, "1"),
    ):  # fmt: skip
        ProposalCache(tmp_path, search, settings)(image, count)
    assert search.asked == 5


def test_no_boxes_are_remembered_too(tmp_path):
    search = Search(np.zeros((0, 4), np.int32))
    cache = ProposalCache(tmp_path, search, "1")
    assert cache(IMAGE).shape == cache(IMAGE).shape == (0, 4)
    assert search.asked == 1


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00", b"nonsense", "float", "large", "flat", "pickle", "zip"]
)
def test_a_broken_file_is_made_again(tmp_path, content):
    search = Search()
    cache = ProposalCache(tmp_path, search, "1")
    path = cache.path_of(IMAGE, 5)
    arrays = {
        "float": BOXES.astype(float),
        "large": BOXES + 100,
        "flat": BOXES.ravel(),
        "pickle": np.array([{"a": 1}], object),
    }
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "zip":
        with path.open("wb") as file:
            np.savez(file, BOXES)
    else:
        np.save(path, arrays[content], allow_pickle=True)
    assert_array_equal(cache(IMAGE, 5), BOXES)
    assert search.asked == 1
    assert_array_equal(cache(IMAGE, 5), BOXES)
    assert search.asked == 1


def test_a_header_with_a_flipped_bit_is_made_again(tmp_path):
    search = Search()
    cache = ProposalCache(tmp_path, search, "1")
    cache(IMAGE, 5)
    path = cache.path_of(IMAGE, 5)
    whole = path.read_bytes()
    for place in range(len(whole) - BOXES.nbytes):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert_array_equal(cache(IMAGE, 5), BOXES)
        assert path.read_bytes() == whole
    assert search.asked == 1 + len(whole) - BOXES.nbytes
    assert_array_equal(np.load(path), BOXES)


def test_a_broken_off_search_leaves_nothing(tmp_path):
    def interrupted(image, count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ProposalCache(tmp_path, interrupted, "1")(IMAGE)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        ProposalCache(tmp_path, Search(), "1")(IMAGE)
    assert list(tmp_path.iterdir()) == []


def test_edge_boxes_need_no_settings_and_others_do(tmp_path, monkeypatch):
    assert ProposalCache(tmp_path).settings == edge_box_settings()
    monkeypatch.setattr("kseg.inference.proposals.edge_boxes.LONGEST", 400)
    assert ProposalCache(tmp_path).settings == edge_box_settings()
    assert "400" in edge_box_settings()
    with pytest.raises(SettingsError, match="settings"):
        ProposalCache(tmp_path, Search())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file"):
        ProposalCache(tmp_path / "file" / "folder")


def test_the_folder_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path))
    assert default_cache_folder() == tmp_path / "proposals"
