"""A CRF without TensorFlow gives what it gives with it."""

import numpy as np
import pytest

from kseg.inference import DenseCRF
from kseg.inference.crf.kernels import spatial_kernel
from kseg.parts import OptionalPackage


@pytest.mark.parametrize(
    "settings",
    [{}, {"bilateral_weight": 0}, {"compatibility": np.ones((4, 4)) - np.eye(4)}, {"iterations": 0}],
)
def test_like_the_compiled_program(settings, monkeypatch):
    pytest.importorskip("tensorflow")
    random = np.random.default_rng(0)
    image = np.kron(random.integers(0, 256, (4, 5, 3)), np.ones((8, 6, 1))).astype("uint8")
    probabilities = random.dirichlet([0.3, 0.3, 0.3, 1e-5], (32, 30)).astype(
        np.float32
    )  # the last hardly counts
    crf = DenseCRF(bilateral_xy_std=8, bilateral_rgb_std=13, **{"iterations": 4} | settings)
    expected = crf(image, probabilities)
    monkeypatch.setattr(OptionalPackage, "installed", lambda self: False)
    spatial_kernel.cache_clear()
    found = crf(image, probabilities)
    spatial_kernel.cache_clear()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
