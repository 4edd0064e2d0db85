"""Skipping what cannot be used, and naming a step's pictures."""

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest

from kseg.data import Dataset, Sample, pipeline
from kseg.errors import DataError
from kseg.training.run.bad_data import SkippingDataset, files_of_step


@dataclass
class Numbers:
    """One pixel a sample, which tells its number; some have a mask of another size."""

    count: int
    bad: set = field(default_factory=set)

    def __len__(self):
        return self.count

    def name_of(self, index):
        return f"n{index}"

    def read(self, index):
        size = (2, 3) if index in self.bad else (1, 1)
        return np.full((1, 1, 3), index % 256, np.uint8), np.zeros(size, np.uint8)


def dataset(count, *bad):
    return Dataset("numbers", "train", ("a",), ((0, 0, 0),), Numbers(count, set(bad)))


def test_the_next_good_one_takes_the_place():
    data = SkippingDataset(dataset(300, 4, 5, 299))
    assert [int(data.load(k)[0][0, 0, 0]) for k in (3, 4, 5, 6, 299)] == [3, 6, 6, 6, 0]
    assert sorted(data.bad) == [4, 5, 299]
    assert data.listed().startswith("n4: the mask has 2x3 pixels")
    assert data.listed(1).endswith("; and 2 more")
    assert (data.name, data.num_classes, len(data)) == ("numbers", 1, 300)
    assert copy.copy(data).load(4)[0][0, 0, 0] == 6


def test_for_scores_a_stand_in_is_blank():
    data = SkippingDataset(dataset(300, 4), blank=True)
    np.testing.assert_array_equal([int(data.load(k)[1][0, 0]) for k in (3, 4, 5)], [0, 255, 0])


def test_the_pictures_of_a_step_are_those_that_were_used():
    data = SkippingDataset(dataset(300, 5, 6))
    data.load(5)
    numbers = files_of_step(data.dataset, batch_size=300, seed=1, step=0)
    used = files_of_step(data, batch_size=300, seed=1, step=0)
    assert used == [{"n5": "n7", "n6": "n7"}.get(name, name) for name in numbers]


def test_more_than_one_in_a_hundred_stops():
    data = SkippingDataset(dataset(200, 1, 3, 5))
    data.load(1)
    data.load(3)
    assert len(data.bad) == 2
    with pytest.raises(DataError, match="3 of 200 images cannot be used, more than 1%: n1: "):
        data.load(5)


def test_a_pipeline_skips():
    data = SkippingDataset(dataset(200, 7))
    found = [int(image[0, 0, 0, 0]) for image, _ in pipeline(data, batch_size=1)]
    assert found == [*range(7), 8, *range(8, 200)]
    assert list(data.bad) == [7]


def test_the_pictures_of_a_step_by_name_or_file(tmp_path):
    data = dataset(5)
    steps = [
        [f"n{int(value)}" for value in image[:, 0, 0, 0]]
        for image, _ in pipeline(data, batch_size=3, seed=9, shuffle=True, epochs=3)
    ]
    assert [files_of_step(data, batch_size=3, seed=9, step=step) for step in range(5)] == steps
    files = [Sample(tmp_path / f"{name}.png") for name in "abcde"]
    on_disk = Dataset("files", "train", ("a",), ((0, 0, 0),), files)
    named = files_of_step(on_disk, batch_size=3, seed=9, step=1)
    assert named == [str(files[int(name[1:])].image) for name in steps[1]]
