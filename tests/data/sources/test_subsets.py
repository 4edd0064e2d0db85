import copy
import json
import pickle

import numpy as np
import pytest

from kseg.data import Dataset, Sample, from_arrays
from kseg.errors import DataError, SettingsError

COUNT = 20
X = np.arange(COUNT, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
Y = np.zeros((COUNT, 4, 5), np.uint8)
Y[:, 0] = 1
Y[::5, 1] = 2  # in 4 of 20
CLASSES = ["road", "car", "bus"]


def numbers(dataset):
    return [int(image[0, 0, 0]) for image, _ in dataset]


@pytest.fixture
def dataset():
    return from_arrays(X, Y, classes=CLASSES)


def test_as_a_list(dataset):
    assert numbers(dataset[3:6]) == [3, 4, 5]
    assert numbers(dataset[::-7]) == list(range(COUNT))[::-7]
    assert numbers(dataset[[4, 4, -1]]) == [4, 4, 19]
    assert dataset[-1][0][0, 0, 0] == 19
    assert dataset[np.int64(2)][0][0, 0, 0] == 2
    assert numbers(dataset[3:9][1:3]) == [4, 5]
    assert dataset[3:6].name_of(1) == dataset.name_of(4)
    for wrong in (20, -21, [0, 20], [-21]):
        with pytest.raises(IndexError, match=r"arrays: there is no sample -?2\d?\d?; it has 20"):
            dataset[wrong]


def test_chosen_as_numpy_chooses(dataset):
    every = np.arange(COUNT)
    for chosen in (every % 3 == 0, (every > 17).tolist(), np.array([5, 2], np.int8), (1, 3), range(2, 9, 3)):
        assert numbers(dataset[chosen]) == every[list(chosen) if isinstance(chosen, tuple) else chosen].tolist()
    assert len(dataset[[]]) == len(dataset[np.zeros(COUNT, bool)]) == 0
    for wrong in ([True, False], np.ones(COUNT + 1, bool), [0.0, 1.0], ["a"], [[0, 1]], [None]):
        with pytest.raises(SettingsError, match="by their numbers, or by 20 bools, one a sample; got"):
            dataset[wrong]
    for wrong in (1.0, "a", None, True):
        with pytest.raises(SettingsError, match="`index` must be a whole number"):
            dataset[wrong]


def test_files_can_be_sliced_too(tmp_path):
    samples = tuple(Sample(f"{i}.png", f"m{i}.png") for i in range(4))
    files = Dataset("files", "train", ("a",), None, samples)
    assert [files[1:3].name_of(i) for i in range(2)] == ["1", "2"]
    assert files.samples[0].image.name == "0.png"
    assert files.palette == ((0, 0, 0),)


def test_sums(dataset):
    assert numbers(sum([dataset[:2], dataset[5:6], dataset[:1]])) == [0, 1, 5, 0]
    with pytest.raises(TypeError):
        1 + dataset


def test_split_is_a_name_and_splits(dataset):
    assert dataset.split == "train"
    assert json.dumps(dataset.split) == '"train"'
    train, val = dataset.split(0.2, seed=3)
    assert (len(train), len(val), train.split, val.split) == (16, 4, "train", "val")
    assert sorted(numbers(train) + numbers(val)) == list(range(COUNT))
    assert numbers(dataset.split(0.2, seed=3)[1]) == numbers(val)
    assert numbers(dataset.split(0.2, seed=4)[1]) != numbers(val)
    inner, _ = train.split(0.5)
    assert set(numbers(inner)) < set(numbers(train))


@pytest.mark.parametrize("seed", range(5))
def test_stratified(dataset, seed):
    train, val = dataset.split(0.25, seed=seed, stratify=True)
    assert len(val) == 5
    with_bus = [sum(2 in mask for _, mask in part) for part in (train, val)]
    assert with_bus == [3, 1]


def test_bad_splits(dataset):
    for share in (-0.1, 1.5, "x"):
        with pytest.raises(SettingsError):
            dataset.split(share)
    with pytest.raises(DataError, match="cannot be split"):
        dataset[:1].split(0.5)
    assert [len(part) for part in dataset.split(0.001)] == [19, 1]
    for share in (0, 1, 0.0, 1.0, -0.1, 3, True, "0.2"):
        with pytest.raises(SettingsError, match="`share` must be a number above 0 and below 1"):
            dataset.split(share)


def test_joined(dataset):
    both = dataset[:3] + dataset[10:12] + dataset[:1]
    assert numbers(both) == [0, 1, 2, 10, 11, 0]
    assert both.name_of(4) == dataset.name_of(11)
    with pytest.raises(SettingsError, match="use remap"):
        dataset + from_arrays(X, Y, classes=["a", "b", "c"])
    with pytest.raises(TypeError):
        dataset + 1


def test_joined_with_other_stored_ids(dataset):
    stored = Dataset("o", "train", tuple(CLASSES), None, dataset[:2].samples, stored_ids=((0, 2), (2, 0)))
    both = dataset[:1] + stored
    np.testing.assert_array_equal(both[1][1], np.array([2, 1, 0])[Y[0]])


def test_remap(dataset):
    merged = dataset.remap({"car": "vehicle", "bus": "vehicle"})
    assert merged.classes == ("road", "vehicle")
    np.testing.assert_array_equal(merged[0][1], np.array([0, 1, 1])[Y[0]])
    ignored = dataset.remap({"road": None})
    assert ignored.classes == ("car", "bus")
    np.testing.assert_array_equal(ignored[0][1], np.array([255, 0, 1])[Y[0]])
    again = merged.remap({"vehicle": "road"})
    assert again.classes == ("road",)
    assert again[0][1].max() == 0
    assert dataset.remap({"road": "z"}).palette == dataset.palette
    with pytest.raises(SettingsError, match="no class 'truck'"):
        dataset.remap({"truck": "car"})
    with pytest.raises(SettingsError, match="no class is left"):
        dataset.remap(dict.fromkeys(CLASSES))


def test_ids_that_are_no_class_stay_so_after_remap():
    dataset = from_arrays(X, np.where(Y == 2, 9, Y), classes=CLASSES).remap({"bus": "car"})
    with pytest.raises(DataError, match="class id 9"):
        dataset[0]


def test_pickles_and_copies():
    stored = Dataset("o", "train", tuple(CLASSES), None, (Sample("a.png", "b.png"), Sample("c.png", "d.png")))
    for made in (pickle.loads(pickle.dumps(stored)), copy.deepcopy(stored)):
        assert made == stored
        assert [len(part) for part in made.split(0.5)] == [1, 1]
