"""Every source is recognised by its own keys, and by no other's."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.identifying import SOURCES, identify

KERNEL = np.zeros((2, 3, 1, 1), "f4")


@pytest.mark.parametrize(("name", "source"), [(name, source) for name, source in SOURCES.items() if source.marks])
def test_marks(name, source):
    """A source without marks of its own recognises arrays in another way, and one of a file's name never does."""
    arrays = dict.fromkeys(source.marks, KERNEL)
    if source.recognises(arrays):
        assert identify(arrays) == name
        assert identify({f"net.{key}": one for key, one in arrays.items()}) == name
        below = {f"net.{key}": one for key, one in arrays.items()}
        with pytest.raises(ModelError, match=f"{name} below 'net'"):
            identify({**below, "other.weight": KERNEL})
