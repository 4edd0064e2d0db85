import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg.backbones import DeepLabMobileNetV2
from kseg.models import LiteFPN

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter


@pytest.fixture(scope="module")
def backbone():
    return DeepLabMobileNetV2(0.25)


@pytest.mark.full
def test_contract(backbone, tmp_path):
    levels = (("stage4", 8, 8), ("stage3", 8, 4))
    model = LiteFPN(backbone, 3, context=16, levels=levels, decoder=2, dropout=0.2, momentum=0.9)
    check_segmenter(model, tmp_path)


def test_the_last_level_gives_a_block_of_pixels_a_cell(backbone):
    """Scores that depend on the place within a cell alone repeat with the stride of the last stage."""
    model = LiteFPN(backbone, 2, context=16, decoder=0)
    score = model.get_layer("score")
    bias = np.random.default_rng(0).normal(size=32)
    score.set_weights([np.zeros(score.kernel.shape), bias])
    logits = np.asarray(model(np.zeros((1, 40, 72, 3), "float32")))[0]
    expected = np.tile(bias.reshape(4, 4, 2), (10, 18, 1))
    np.testing.assert_allclose(logits, expected, rtol=1e-6)


def test_nothing_is_computed_at_the_images_size(backbone):
    model = LiteFPN(backbone, 2)
    fine = keras.Model(model.input, [layer.output for layer in model.layers if "score" not in layer.name][2:])
    image = np.zeros((1, 64, 64, 3), "float32")
    sides = {layer.shape[1] for layer in fine(image)[:-1] if len(layer.shape) == 4 and layer.shape[-1] > 3}
    assert max(sides) == 32


def test_every_level_is_heard(backbone):
    model = LiteFPN(backbone, 2, context=16)
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    before = np.asarray(model(image))
    for name in ("stage4_lateral_conv", "stage3_lateral_conv", "stage2_lateral_conv", "projection_conv"):
        layer = model.get_layer(name)
        weights = layer.get_weights()
        layer.set_weights([-weight for weight in weights])
        assert (np.asarray(model(image)) != before).mean() > 0.5, name
        layer.set_weights(weights)
