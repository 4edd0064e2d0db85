import keras
import numpy as np
import pytest

import kseg
from kseg.errors import ModelError
from kseg.export.parity import Comparison, compare, holds_indices, refuse_different

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
    with pytest.raises(ModelError, match="are not numbers"):
        parity(np.full_like(EXPECTED, np.nan))


def test_compare_runs_both(net, pictures):
    batches = [image[None].astype("float32") for image in pictures]
    same = compare(net, lambda batch: np.asarray(net(batch)), batches)
    assert same.images == 3
    assert same.agreement > 0.999
    assert same.equal
    moved = compare(net, lambda batch: np.asarray(net(batch)) + 0.5, batches)
    np.testing.assert_allclose(moved.largest_difference, 0.5, atol=1e-4)


def test_a_moved_maximum_is_no_other_network():
    """Two of 400 pixels far off: rounding's doing where indices decide, another network where none do."""
    expected = np.zeros((1, 20, 20, 2), "float32")
    expected[..., 0] = 5
    found = expected.copy()
    found[0, 3, 4:6, 0] = 4
    for indices, count, equal in ((False, 2, False), (True, 2, True), (True, 5, False)):
        found[0, 3, 4 : 4 + count, 0] = 4
        comparison = Comparison(indices)
        comparison.add(expected, found)
        result = comparison.parity()
        np.testing.assert_allclose(result.beyond, count / 400)
        assert result.equal is equal


def test_indices_are_found_in_the_graph(net):
    assert not holds_indices(net)
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(image)
    assert not holds_indices(keras.Model(image, x))
    pooled, argmax = kseg.layers.MaxPoolingWithArgmax2D(2)(x)
    inner = keras.Model(image, kseg.layers.MaxUnpooling2D(2)([pooled, argmax]))
    assert holds_indices(inner)
    outer = keras.Input((8, 8, 3), dtype="uint8")
    assert holds_indices(keras.Model(outer, keras.layers.Conv2D(2, 1)(inner(outer))))


def test_chance_gets_a_second_picture():
    """An exported model whose rounding moves much on one picture only, and one that is wrong on each."""
    image = keras.Input((8, 8, 3))
    pooled, argmax = kseg.layers.MaxPoolingWithArgmax2D(2)(image)
    unpooling = keras.Model(image, kseg.layers.MaxUnpooling2D(2)([pooled, argmax]))
    picture = np.random.default_rng(0).uniform(0, 9, (1, 8, 8, 3)).astype("float32")
    asked = []

    def once_wrong(batch):
        asked.append(batch)
        return np.asarray(unpooling(batch)) + (9 if len(asked) == 1 else 0)

    assert compare(unpooling, once_wrong, [picture]).equal
    assert len(asked) == 2
    assert not compare(unpooling, lambda batch: np.asarray(unpooling(batch)) + 9, [picture]).equal


def test_another_network_is_refused(tmp_path):
    parity = kseg.export.Parity(1, 100, 0.95, largest_difference=0.1, largest_logit=20.0)
    with pytest.raises(ModelError, match=r"0\.1"):
        refuse_different(parity, tmp_path, "float32", min_agreement=0)
    with pytest.raises(ModelError, match=r"95\.00% .* 98\.00%"):  # of a float16 file
        refuse_different(parity, tmp_path, "float16")
    refuse_different(parity, tmp_path, "float16", min_agreement=0.9)
    refuse_different(parity, tmp_path, "int8")
