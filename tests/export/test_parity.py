import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.export.parity import Comparison, compare

EXPECTED = np.array([[[[5.0, 1], [1, 5]], [[2, 4], [4, 2]]]], "float32")  # classes 0 1 / 1 0


def parity(found):
    comparison = Comparison()
    comparison.add(EXPECTED, np.asarray(found))
    return comparison.parity()


def test_logits():
    found = EXPECTED.copy()
    found[0, 1, 0] = 4.5, 4.25  # the class flips
    result = parity(found)
    assert (result.images, result.pixels, result.agreement) == (1, 4, 0.75)
    assert result.largest_difference == 2.5
    assert result.largest_logit == 5
    assert not result.equal
    assert parity(EXPECTED + 4e-3).equal
    assert not parity(EXPECTED + 6e-3).equal


def test_class_ids_are_judged_by_the_logit_they_miss():
    result = parity(np.array([[[0, 1], [0, 0]]], np.uint8))
    assert result.agreement == 0.75
    assert result.largest_difference == 2
    assert parity(np.array([[[0, 1], [1, 0]]], np.uint8)).equal


def test_what_is_no_answer():
    for wrong in (EXPECTED[:, :1], np.zeros((1, 2, 3), np.uint8)):
        with pytest.raises(ModelError, match="gives"):
            parity(wrong)
    with pytest.raises(ModelError, match="class 7"):
        parity(np.full((1, 2, 2), 7))
    with pytest.raises(ModelError, match="no numbers"):
        parity(np.full_like(EXPECTED, np.nan))


def test_compare_runs_both(net, pictures):
    batches = [image[None].astype("float32") for image in pictures]
    same = compare(net, lambda batch: np.asarray(net(batch)), batches)
    assert same.images == 3
    assert same.agreement > 0.999
    assert same.equal
    moved = compare(net, lambda batch: np.asarray(net(batch)) + 0.5, batches)
    np.testing.assert_allclose(moved.largest_difference, 0.5, atol=1e-4)
