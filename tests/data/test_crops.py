import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from kseg.data import Augment, Dataset, object_crops, pipeline, proposal_crops
from kseg.data.crops import Crop, Crops, balanced
from kseg.data.objects import LabelledObject
from kseg.errors import DataError, SettingsError

PALETTE = ((0, 0, 0), (200, 0, 0), (0, 200, 0))


class Scenes:
    """Pictures of 60x80, red channel the row and green the column; a cat, a dog beside it, void between."""

    def __init__(self, count=3):
        self.count = count

    def __len__(self):
        return self.count

    def name_of(self, index):
        return f"scene{index}"

    def read(self, index):
        rows, columns = np.mgrid[:60, :80]
        image = np.stack([rows, columns, np.full_like(rows, index)], axis=-1).astype(np.uint8)
        labels = np.zeros((60, 80), np.uint8)
        labels[10:50, 20:40] = 1
        labels[10:50, 40:42] = 255
        if index == 0:
            labels[10:50, 42:66] = 2
        return image, labels


def scenes(count=3):
    return Dataset("scenes", "train", ("ground", "cat", "dog"), PALETTE, Scenes(count))


def test_a_crop_is_a_part_of_the_picture():
    """At its own size nothing is resampled: the crop's pixels are the picture's."""
    source = Crops(scenes(), [Crop(1, (5, 10, 45, 70), 1)], (40, 60))
    image, labels = source.read(0)
    expected, truth = scenes().load(1)
    assert_array_equal(image, expected[5:45, 10:70])
    assert_array_equal(labels, truth[5:45, 10:70])
    assert source.name_of(0) == "scene1_5_10_45_70"


def test_beyond_the_picture_it_is_black_and_ignored():
    image, labels = Crops(scenes(), [Crop(2, (-10, -20, 30, 40), 1)], (40, 60)).read(0)
    assert image[:10].max() == image[:, :20].max() == 0
    assert (labels[:10] == 255).all()
    assert (labels[:, :20] == 255).all()
    assert_array_equal(labels[10:, 20:], scenes().load(2)[1][:30, :40])


def test_only_the_centre_class_is_kept_and_ignored_stays_ignored():
    crop = Crop(0, (0, 10, 60, 70), 1)
    every = Crops(scenes(), [crop], (60, 60)).read(0)[1]
    centre = Crops(scenes(), [crop], (60, 60), only_centre=True).read(0)[1]
    assert set(np.unique(every)) == {0, 1, 2, 255}
    assert_array_equal(centre, np.where(every == 2, 0, every))


def test_image_and_labels_are_warped_alike():
    """Twice the height and half the width; the ramps tell where each pixel came from."""
    image, labels = Crops(scenes(), [Crop(1, (10, 0, 40, 80), 1)], (60, 40)).read(0)
    rows = 10 + (np.arange(60) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(image[2:-2, 5, 0], rows[2:-2], atol=0.51)
    np.testing.assert_allclose(image[5, 2:-2, 1], ((np.arange(40) + 0.5) * 2 - 0.5)[2:-2], atol=0.51)
    assert_array_equal(labels[30], np.repeat([0, 1, 255, 0], [10, 10, 1, 19]))


def test_one_crop_an_object_with_context():
    crops = object_crops(scenes(1), size=(48, 24), most_repeats=1)
    assert len(crops) == 2
    assert (crops.name, crops.split, crops.classes) == ("scenes objects", "train", ("ground", "cat", "dog"))
    # 40x20 at (30, 30), made 48x24: rows 6 to 54, columns 18 to 42.
    image, labels = crops.load(0)
    expected, truth = scenes().load(0)
    assert_array_equal(image, expected[6:54, 18:42])
    assert_array_equal(labels, truth[6:54, 18:42])
    assert set(np.unique(crops.load(1)[1])) == {0, 2, 255}


def test_rare_classes_are_repeated():
    crops = [Crop(i, (0, 0, 9, 9), 1) for i in range(7)] + [Crop(i, (0, 0, 9, 9), 2) for i in range(2)]
    found = balanced(crops, 3)
    assert found[:9] == crops
    assert [(c.image, c.class_id) for c in found[9:]] == [(0, 2), (1, 2), (0, 2), (1, 2)]
    assert sum(c.class_id == 2 for c in balanced(crops, 8)) == 7
    assert balanced(crops, 1) == crops
    assert balanced([], 3) == []
    assert len(object_crops(scenes(4))) == 4 + 4


def test_proposals_that_meet_an_object():
    """Overlaps by hand: 0.5 with the cat; 0.45 with it; all of the dog; nothing."""
    boxes = [[10, 20, 50, 30], [10, 20, 46, 30], [10, 42, 50, 66], [0, 0, 8, 8]]
    asked = []

    def propose(image, count):
        asked.append((image.shape, count))
        return np.array(boxes, np.int32)

    seen = []
    crops = proposal_crops(
        scenes(1),
        propose,
        count=7,
        context=1.0,
        size=(40, 24),
        most_repeats=1,
        progress=lambda *at: seen.append(at),
    )
    assert asked == [((60, 80, 3), 7)]
    assert [(c.box, c.class_id) for c in crops.samples.crops] == [
        ((10, 20, 50, 30), 1),
        ((10, 42, 50, 66), 2),
    ]
    assert seen == [(1, 1)]
    assert len(proposal_crops(scenes(1), propose, overlap=0.44, most_repeats=1)) == 3
    # All classes are kept: the second box, enlarged, holds a part of the cat.
    wide = proposal_crops(scenes(1), propose, context=2.0, size=(80, 48), most_repeats=1)
    assert set(np.unique(wide.load(1)[1])) == {0, 1, 2, 255}


def test_order_and_augmentation_go_on_where_they_were():
    crops = object_crops(scenes(3), size=(28, 28))
    again = object_crops(scenes(3), size=(28, 28))
    settings = {
        "batch_size": 2,
        "size": (24, 24),
        "augment": Augment(mirror=True),
        "seed": 3,
        "shuffle": True,
    }
    whole = list(pipeline(crops, epochs=3, **settings))
    rest = list(pipeline(again, epochs=3, start_step=4, **settings))
    assert len(rest) == len(whole) - 4
    for (image, label), (other, second) in zip(whole[4:], rest, strict=True):
        assert_array_equal(image, other)
        assert_array_equal(label, second)
    assert not np.array_equal(whole[0][0], whole[3][0])


def test_masks_with_stored_ids_are_mapped_once(tmp_path):
    """A data set that stores void as 2: its crops hold 255, and are not mapped a second time."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    mask = np.zeros((40, 40), np.uint8)
    mask[5:35, 5:35], mask[:2] = 1, 2
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((40, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    from kseg.data import Sample

    samples = (Sample(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.png"),)
    stored = Dataset("s", "train", ("ground", "cat"), PALETTE[:2], samples, stored_ids=((2, 255),))
    labels = object_crops(stored, size=(40, 40), context=4 / 3).load(0)[1]
    assert_array_equal(labels, stored.load(0)[1])


def test_pictures_without_objects_are_refused_in_words():
    with pytest.raises(DataError, match="no object found in the 2 images"):
        object_crops(scenes(2), find=lambda *_: [])
    nothing = np.zeros((0, 4), np.int32)
    with pytest.raises(DataError, match=r"no proposal meets an object by 0\.5"):
        proposal_crops(scenes(2), lambda *_: nothing)
    # A picture without objects beside others is left out.
    one = object_crops(
        scenes(2), find=lambda _, i, __: [LabelledObject(1, (10, 20, 50, 40))] if i else [], most_repeats=1
    )
    assert [c.image for c in one.samples.crops] == [1]


def test_a_broken_picture_is_named(tmp_path):
    from kseg.data import Sample

    (tmp_path / "a.png").write_bytes(b"nonsense")
    broken = Dataset("b", "train", ("a", "b"), PALETTE[:2], (Sample(tmp_path / "a.png", tmp_path / "a.png"),))
    with pytest.raises(DataError, match=r"a\.png"):
        object_crops(broken)


def test_bad_pictures_are_left_out_where_asked():
    class Broken(Scenes):
        def read(self, index):
            if index == 1:
                raise DataError("scene1.png: broken")
            return super().read(index)

    broken = Dataset("scenes", "train", ("ground", "cat", "dog"), PALETTE, Broken(3))
    with pytest.raises(DataError, match="scene1"):
        object_crops(broken)
    bad = {}
    crops = object_crops(broken, most_repeats=1, bad=bad)
    assert [c.image for c in crops.samples.crops] == [0, 0, 2]
    assert bad == {1: "scene1.png: broken"}
    cat, again = np.array([[10, 20, 50, 40]], np.int32), {}
    assert len(proposal_crops(broken, lambda *_: cat, most_repeats=1, bad=again)) == 2
    assert again == bad


@pytest.mark.parametrize("settings", [{"size": 9}, {"size": (0, 9)}, {"context": 0}, {"most_repeats": 0}])
def test_settings_are_checked(settings):
    with pytest.raises(SettingsError):
        object_crops(scenes(), **settings)
    with pytest.raises(SettingsError):
        proposal_crops(scenes(), lambda *_: (), **settings)
    with pytest.raises(SettingsError, match="overlap"):
        proposal_crops(scenes(), lambda *_: (), overlap=0)
