"""What the two kernels are of: places, and places with colours, each by its standard deviation."""

import numpy as np
import pytest

from kseg.inference.crf import kernels


@pytest.fixture
def lattices(monkeypatch):
    """The features of every lattice that is made, instead of it."""
    kernels.spatial_kernel.cache_clear()
    monkeypatch.setattr(kernels, "PermutohedralLattice", lambda features: features)
    monkeypatch.setattr("kseg.inference.crf.mean_field.kernel", lambda features, device: (features, device))
    yield
    kernels.spatial_kernel.cache_clear()


def test_spatial_features_are_places_by_the_deviation(lattices):
    features, device = kernels.spatial_kernel(2, 3, 4.0, "cpu:0")
    places = [(x / 4, y / 4) for y in range(2) for x in range(3)]
    np.testing.assert_allclose(features, places)
    assert device == "cpu:0"


def test_spatial_kernels_of_another_size_or_device_are_others(lattices):
    first = kernels.spatial_kernel(2, 3, 4.0)
    assert kernels.spatial_kernel(2, 3, 4.0) is first
    assert kernels.spatial_kernel(2, 3, 4.0, "cpu:0")[1] == "cpu:0"
    assert len(kernels.spatial_kernel(5, 3, 4.0)[0]) == 15


def test_bilateral_features_are_places_and_colours(lattices):
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 3)).astype(np.uint8)
    features, device = kernels.bilateral_kernel(image, 7.0, 5.0)
    expected = [(x / 7, y / 7, *(image[y, x] / 5)) for y in range(2) for x in range(3)]
    np.testing.assert_allclose(features, expected, rtol=1e-6)
    assert device is None
