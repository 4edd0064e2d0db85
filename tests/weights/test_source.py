"""What sources share."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES
from kseg.weights.source import classes_of, count_of, is_counter, shape_of


def test_counting_and_shapes():
    arrays = {f"layer1.{i}.weight": np.zeros((7, 3, 1, 1)) for i in (0, 1, 2, 4)}
    assert count_of(arrays, "layer1.{}.weight") == 5  # by the last: what number 3 lacks is then named
    assert count_of(arrays, "layer1.{}.weight", 4) == 1
    assert count_of(arrays, "layer1.{}.weight", 5) == 0
    assert count_of(arrays, "layer2.{}.weight") == 0
    assert classes_of(arrays, "layer1.0.weight") == 7
    assert shape_of(arrays, "layer1.0.weight", "s") == (7, 3, 1, 1)
    for key in ("missing", "flat"):
        with pytest.raises(ModelError, match=key):
            shape_of({"flat": np.zeros(3)}, key, "s")
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
