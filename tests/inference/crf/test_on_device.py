"""The iterations through Keras's backend: against a plain NumPy loop and against pydensecrf, here on its CPU device."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.inference.crf import on_device
from kseg.inference.crf.dense_crf import DenseCRF
from kseg.inference.crf.permutohedral import PermutohedralLattice

SETTINGS = {"spatial_std": 2, "spatial_weight": 1.5, "bilateral_xy_std": 6, "bilateral_rgb_std": 12}


def plain_loop(image, probabilities, crf):
    """Algorithm 1 of Krähenbühl and Koltun 2011 in float64, the lattice's filter as a matrix of all pairs."""
    height, width, classes = probabilities.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    places = np.stack([x, y], 1)
    colours = image.reshape(-1, 3) / crf.bilateral_rgb_std
    total = 0
    for weight, features in (
        (crf.spatial_weight, places / crf.spatial_std),
        (crf.bilateral_weight, np.concatenate([places / crf.bilateral_xy_std, colours], 1)),
    ):
        matrix = PermutohedralLattice(features).filter(np.eye(height * width, dtype=np.float32)).astype(float)
        norm = 1 / np.sqrt(matrix.sum(1))
        total = total + weight * norm[:, None] * matrix * norm
    penalties = 1 - np.eye(classes) if crf.compatibility is None else crf.compatibility
    clipped = np.maximum(probabilities.reshape(-1, classes).astype(float), crf.floor)
    q = clipped / clipped.sum(1, keepdims=True)
    for _ in range(crf.iterations):
        q = np.exp(np.log(clipped) - total @ q @ penalties)
        q /= q.sum(1, keepdims=True)
    return q.reshape(probabilities.shape)


def full(**settings):
    return pytest.param(settings, marks=pytest.mark.full)


@pytest.mark.parametrize(
    "settings",
    [
        full(iterations=4),
        full(iterations=0),
        full(compatibility=np.abs(np.subtract.outer(np.arange(3), np.arange(3))) / 2),
        full(spatial_weight=0),
        full(bilateral_weight=0),
        full(spatial_weight=0, bilateral_weight=0),
        full(tile=12),  # the margin of 12 reaches the borders
    ],
)
def test_equals_a_plain_loop(settings, two_colours):
    image, probabilities = two_colours()
    crf = DenseCRF(**SETTINGS | settings, device="cpu:0")
    refined = crf(image, probabilities)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined, plain_loop(image, probabilities, crf), atol=5e-5)


@pytest.mark.full
def test_classes_that_are_nowhere_are_left_out_without_loss(two_colours):
    image, probabilities = two_colours(10, 12)
    many = np.full((10, 12, 9), 1e-5, np.float32)
    many[..., [1, 4, 6]] = probabilities * (1 - 6e-5)
    crf = DenseCRF(**SETTINGS, device="cpu")
    np.testing.assert_allclose(crf(image, many), plain_loop(image, many, crf), atol=5e-5)


@pytest.mark.full
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing")
def test_images_with_as_many_vertices_share_a_program(two_colours, monkeypatch):
    traced, mean_field = [], on_device._mean_field
    monkeypatch.setattr(on_device, "_mean_field", lambda *given: traced.append(0) or mean_field(*given))
    on_device._program.cache_clear()
    for iterations in (2, 3, 5):
        _, probabilities = two_colours(20, 24)
        image = np.full((20, 24, 3), 40, np.uint8)
        DenseCRF(**SETTINGS, iterations=iterations, device="cpu")(image, probabilities)
    on_device._program.cache_clear()
    assert len(traced) == 1


def test_a_name_is_written_out():
    assert DenseCRF(device="CPU").device == "cpu:0"


@pytest.mark.parametrize("device", ["fast", "gpu:x", "", 0, True, "cpu:0:1"])
def test_strange_names_are_refused(device):
    with pytest.raises(SettingsError, match='such as "gpu:0"'):
        DenseCRF(device=device)


@pytest.mark.parametrize("device", ["gpu:63", "tpu:63"])
def test_missing_devices_are_refused(device):
    with pytest.raises(SettingsError, match=f"cannot run on device {device}: .* does not have it"):
        DenseCRF(device=device)


def test_too_little_memory_on_the_device_says_what_to_do(two_colours, monkeypatch):
    def exhausted(*_):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8589934592 bytes.")

    monkeypatch.setattr(on_device, "_program", lambda *_: exhausted)
    with pytest.raises(SettingsError, match=r"more memory than cpu:0 .*tile=512"):
        DenseCRF(device="cpu")(*two_colours())


def test_other_errors_of_the_device_pass_through(two_colours, monkeypatch):
    def broken(*_):
        raise RuntimeError("an illegal memory access")

    monkeypatch.setattr(on_device, "_program", lambda *_: broken)
    with pytest.raises(RuntimeError, match="illegal"):
        DenseCRF(device="cpu")(*two_colours())


@pytest.mark.parity
@pytest.mark.parametrize(("classes", "compatible"), [(2, False), (21, False), (5, True)])
def test_equals_pydensecrf(classes, compatible):
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    utils = pytest.importorskip("pydensecrf.utils")
    import cv2

    rng, (height, width) = np.random.default_rng(classes), (90, 121)
    coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    soft = (
        np.stack([cv2.resize(b, (width, height)) for b in rng.gamma(0.3, size=(classes, 8, 10))], -1) + 1e-3
    )
    soft = (soft / soft.sum(-1, keepdims=True)).astype(np.float32)
    penalties = None
    if compatible:
        penalties = rng.random((classes, classes)).astype(np.float32)
        penalties = (penalties + penalties.T) / 2 * (1 - np.eye(classes, dtype=np.float32))
    theirs = densecrf.DenseCRF2D(width, height, classes)
    theirs.setUnaryEnergy(utils.unary_from_softmax(np.ascontiguousarray(soft.transpose(2, 0, 1))))
    scale = 1 if penalties is None else penalties
    theirs.addPairwiseGaussian(sxy=3, compat=3 * scale)
    theirs.addPairwiseBilateral(sxy=49, srgb=5, rgbim=image, compat=4 * scale)
    expected = np.array(theirs.inference(10)).reshape(classes, height, width).transpose(1, 2, 0)
    refined = DenseCRF(compatibility=penalties, device="cpu")(image, soft)
    assert (refined.argmax(-1) == expected.argmax(-1)).mean() >= 0.9999
    assert np.abs(refined - expected).max() <= 1e-4
