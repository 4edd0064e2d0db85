"""Blobs of Caffe's layers, each against a plain loop or its formula."""

import numpy as np

from kseg.backbones import VGG16
from kseg.weights.layouts.caffe import batch_norm, convolution, folded_norm, kernel, pspnet_norm, vgg_blobs

RNG = np.random.default_rng(0)


def made(moves, arrays, shape):
    return {m.target.rpartition("/")[2]: m.make([arrays[key] for key in m.keys], shape) for m in moves}


def test_kernels_of_convolutions_and_of_dense_layers():
    blob = RNG.normal(size=(5, 3, 2, 4))
    move = kernel("fc6/kernel", "fc6/0")
    expected = np.zeros((2, 4, 3, 5))
    for out, into, row, column in np.ndindex(blob.shape):
        expected[row, column, into, out] = blob[out, into, row, column]
    # As a convolution, as an InnerProduct, and as an InnerProduct of the first format.
    for shape in ((5, 3, 2, 4), (5, 24), (1, 1, 5, 24)):
        np.testing.assert_array_equal(move.make([blob.reshape(shape)], (2, 4, 3, 5)), expected)


def test_a_convolution_without_bias_takes_one_blob():
    assert [m.keys for m in convolution("a", "b", {"a/kernel": 0})] == [("b/0",)]
    assert [m.keys for m in convolution("a", "b", {"a/kernel": 0, "a/bias": 0})] == [("b/0",), ("b/1",)]


def test_statistics_are_divided():
    arrays = {"bn/0": np.array([2.0, 4.0]), "bn/1": np.array([8.0, 2.0]), "bn/2": np.array([2.0])}
    arrays |= {"scale/0": np.array([1.0, 2.0]), "scale/1": np.array([3.0, 4.0])}
    found = made(batch_norm("x", "bn", "scale"), arrays, (2,))
    np.testing.assert_array_equal(found["moving_mean"], [1, 2])
    np.testing.assert_array_equal(found["moving_variance"], [4, 1])
    np.testing.assert_array_equal(found["gamma"], [1, 2])
    np.testing.assert_array_equal(found["beta"], [3, 4])
    arrays["bn/2"] = np.array([0.0])  # Caffe: a divisor of zero means zeros
    np.testing.assert_array_equal(made(batch_norm("x", "bn", "scale"), arrays, (2,))["moving_mean"], [0, 0])


def test_pspnets_order_is_slope_bias_mean_variance():
    arrays = {f"bn/{number}": np.full((1, 2, 1, 1), float(number)) for number in range(4)}
    found = made(pspnet_norm("x", "bn"), arrays, (2,))
    assert {name: value[0] for name, value in found.items()} == {
        "gamma": 0, "beta": 1, "moving_mean": 2, "moving_variance": 3,
    }  # fmt: skip


def test_folded_statistics_change_nothing():
    """Scale and shift alone: (x - mean) / sqrt(variance + epsilon) has to be x."""
    arrays = {"bn/0": np.array([2.0]), "bn/1": np.array([3.0])}
    found = made(folded_norm("x", "bn", 1e-5), arrays, (1,))
    x = 7.0
    normalised = (x - found["moving_mean"]) / np.sqrt(found["moving_variance"].astype("f8") + 1e-5)
    np.testing.assert_allclose(normalised * found["gamma"] + found["beta"], 2 * x + 3, rtol=1e-7)


def test_vggs_names():
    names = vgg_blobs(VGG16(filters=None))
    assert names["block1_conv1"] == "conv1_1"
    assert names["block5_conv3"] == "conv5_3"
    assert len(names) == 13
