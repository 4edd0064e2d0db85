import sys
from pathlib import Path

import numpy as np
import pytest

from kseg.backbones import ResNet
from kseg.errors import SettingsError
from kseg.models import FPN

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter


def small(**changes):
    return ResNet(18, filters=2, **changes)


@pytest.mark.full
def test_contract(tmp_path):
    model = FPN(small(), 3, stages=("stage3", "stage5"), pyramid_filters=5, filters=4, groups=2, dropout=0.3)
    check_segmenter(model, tmp_path)


def test_parameters_by_hand():
    """One lateral a stage; 3, 2, 1 and 1 convolutions with group normalisation; the scores."""
    model = FPN(small(), 7)
    lateral = sum(channels * 256 + 256 for channels in (2, 4, 8, 16))
    levels = sum(256 * 128 * 9 + 256 + more * (128 * 128 * 9 + 256) for more in (2, 1, 0, 0))
    own = model.count_params() - model.backbone.count_params()
    assert own == lateral + levels + 128 * 7 + 7


def test_a_level_in_numpy():
    """One stage alone: 1x1, 3x3, group normalisation, ReLU, scores; then bilinear upsampling."""
    model = FPN(
        small(output_stride=8, ceil_pooling=False),
        2,
        stages=("stage2",),
        pyramid_filters=3,
        filters=4,
        groups=2,
        upsampling="size",
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    x = np.asarray(model.backbone(pixels)["stage2"])[0]
    kernel, bias = map(np.asarray, model.get_layer("stage2_lateral").weights)
    x = np.pad(x @ kernel[0, 0] + bias, ((1, 1), (1, 1), (0, 0)))
    kernel = np.asarray(model.get_layer("stage2_1_conv").kernel)
    x = np.sum([x[i : i + 8, j : j + 8] @ kernel[i, j] for i in range(3) for j in range(3)], axis=0)
    groups = x.reshape(8, 8, 2, 2)
    mean, variance = (f(axis=(0, 1, 3), keepdims=True) for f in (groups.mean, groups.var))
    x = np.maximum(((groups - mean) / np.sqrt(variance + 1e-5)).reshape(8, 8, 4), 0)
    kernel, bias = map(np.asarray, model.get_layer("score").weights)
    scores = x @ kernel[0, 0] + bias
    found = np.asarray(model(pixels))[0]
    middle = found.reshape(8, 4, 8, 4, 2)[:, 1:3, :, 1:3].mean((1, 3))  # of four pixels about a cell's centre
    inner = (slice(1, -1), slice(1, -1))
    expected = scores[inner] * (0.75 + 0.125) ** 2
    for di, dj, weight in [(0, 1, 1), (0, -1, 1), (1, 0, 1), (-1, 0, 1)]:
        expected += np.roll(scores, (di, dj), (0, 1))[inner] * 0.875 * 0.0625 * weight
    for di, dj in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
        expected += np.roll(scores, (di, dj), (0, 1))[inner] * 0.0625**2
    np.testing.assert_allclose(middle[inner], expected, rtol=1e-3, atol=1e-4)


def test_groups_divide_the_filters():
    with pytest.raises(SettingsError, match="groups=3 and filters=4"):
        FPN(small(), 2, filters=4, groups=3)
    with pytest.raises(SettingsError, match="names of stages"):
        FPN(small(), 2, stages="stage2")
