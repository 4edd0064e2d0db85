"""What the dense CRF refuses, and why."""

import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.inference.crf.dense_crf import DenseCRF


@pytest.mark.full
def test_too_large_is_refused_with_the_estimate_and_tiles_pass(two_colours):
    image, probabilities = two_colours(40, 40)
    settings = {"spatial_std": 1, "bilateral_xy_std": 2}
    limit = DenseCRF().memory(24, 24, 3)
    with pytest.raises(SettingsError, match=r"40x40 pixels with 3 classes takes about .* GiB"):
        DenseCRF(**settings, memory_limit=limit)(image, probabilities)
    refined = DenseCRF(**settings, memory_limit=limit, tile=16)(image, probabilities)
    np.testing.assert_allclose(refined.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"spatial_std": 0},
        {"bilateral_xy_std": -3},
        {"bilateral_rgb_std": float("nan")},
        {"spatial_weight": -1},
        {"bilateral_weight": float("inf")},
        {"iterations": -1},
        {"iterations": 2.5},
        {"iterations": float("nan")},
        {"iterations": float("inf")},
        {"iterations": 10**400},
        {"iterations": 10**9},
        {"iterations": True},
        {"iterations": None},
        {"iterations": "3"},
        {"spatial_std": "3"},
        {"tile": 2.5},
        {"memory_limit": "1 GB"},
        {"memory_limit": float("nan")},
        {"compatibility": "potts"},
        {"compatibility": [[0, 1], [1]]},
        {"floor": 0},
        {"floor": 1},
        {"tile": 0},
        {"compatibility": np.zeros((2, 3))},
        {"compatibility": np.array([[0, 1], [2, 0]])},
        {"compatibility": np.array([[0, np.nan], [np.nan, 0]])},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(SettingsError):
        DenseCRF(**settings)


@pytest.mark.parametrize("iterations", [3.0, np.int64(3), np.float32(3)])
def test_whole_numbers_of_any_type_are_iterations(iterations, two_colours):
    image, probabilities = two_colours()
    expected = DenseCRF(iterations=3)(image, probabilities)
    np.testing.assert_array_equal(DenseCRF(iterations=iterations)(image, probabilities), expected)


def with_one_nan(probabilities):
    probabilities = probabilities.copy()
    probabilities[0, 0, 0] = np.nan
    return probabilities


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda i, p: (i, 2 * p), "sum to one"),
        (lambda i, p: (i / 255.0, p), "multiply"),
        (lambda i, p: (i / 127.5 - 1, p), "127.5"),
        (lambda i, p: (i.astype(np.uint16) * 257, p), "257"),
        (lambda i, p: (np.where(i == i.max(), np.nan, i), p), "NaN"),
        (lambda i, p: (i, np.log(p)), "sum to one"),
        (lambda i, p: (i, p * [2, -1, 1]), "sum to one"),
        (lambda i, p: (i, with_one_nan(p)), "finite"),
        (lambda i, p: (i, p[:-1]), "size"),
        (lambda i, p: (i, p.argmax(-1)), "size"),
        (lambda i, p: (i, p[..., :0]), "at least one class"),
        (lambda i, p: (i, np.ones(p.shape, np.uint8)), "float"),
        (lambda i, p: (i[..., 0], p), "RGB"),
        (lambda i, p: (i[:0], p[:0]), "RGB"),
        (lambda i, p: (np.full(i.shape, np.nan), p), "NaN"),
        (lambda i, p: (i.astype(object), p), "whole numbers or floats"),
        (lambda i, p: (i.astype(complex), p), "whole numbers or floats"),
    ],
)
def test_bad_inputs(change, match, two_colours):
    with pytest.raises(DataError, match=match):
        DenseCRF()(*change(*two_colours()))


def test_compatibility_of_another_number_of_classes(two_colours):
    with pytest.raises(DataError, match="4 classes"):
        DenseCRF(compatibility=1 - np.eye(4))(*two_colours())
