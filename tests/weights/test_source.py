"""What sources share."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES
from kseg.weights.source import classes_of, count_of, is_counter, row_of, shape_of


def test_counting_and_shapes():
    arrays = {f"layer1.{i}.weight": np.zeros((7, 3, 1, 1)) for i in (0, 1, 2, 4)}
    assert count_of(arrays, "layer1.{}.weight") == 5  # by the last: what number 3 lacks is then named
    assert count_of(arrays, "layer1.{}.weight", 4) == 1
    assert count_of(arrays, "layer1.{}.weight", 5) == 0
    assert count_of(arrays, "layer2.{}.weight") == 0
    assert classes_of(arrays, "layer1.0.weight") == 7
    assert shape_of(arrays, "layer1.0.weight", "s") == (7, 3, 1, 1)
    with pytest.raises(ModelError, match="flat is not the kernel"):
        shape_of({"flat": np.zeros(3)}, "flat", "s")
    with pytest.raises(KeyError, match="missing"):
        shape_of(arrays, "missing", "s")
    with pytest.raises(ModelError, match="0 filters, or 0 classes"):
        classes_of({"score.weight": np.zeros((0, 4, 1, 1))}, "score.weight")
    assert row_of("rates", (6, 12, 18, 24, 30), arrays, "layer1.{}.", {}) == (6, 12, 18, 24, 30)
    with pytest.raises(ModelError, match=r"5 modules .* not 3.*--set rates=1,2,3,4,5"):
        row_of("rates", (6, 12, 18), arrays, "layer1.{}.", {})
    assert len(row_of("rates", (6, 12, 18), arrays, "layer1.{}.", {"rates": (1,) * 5})) == 5
    assert is_counter("bn1.num_batches_tracked")
    assert not is_counter("bn1.running_mean")


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_a_person_needs(name):
    source = SOURCES[name]
    assert source.name == name
    assert source.page.startswith("http")
    assert source.licence
    assert source.note
    assert isinstance(source.output_strides, tuple)
