import sys
from pathlib import Path

import numpy as np
import pytest

from kseg.backbones import EfficientNetLite
from kseg.models import LRASPP

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter


@pytest.fixture(scope="module")
def backbone():
    return EfficientNetLite("lite0", last_stage="stage4", weights=None)


@pytest.mark.full
def test_contract(backbone, tmp_path):
    check_segmenter(LRASPP(backbone, 3, filters=8, low_level="stage2", momentum=0.8), tmp_path)


def test_logits_as_in_the_paper(backbone):
    """Scored after enlarging, as figure 10 draws it, in NumPy from the backbone's features."""
    model = LRASPP(backbone, 3, filters=8)
    rng = np.random.default_rng(0)
    for name in ("scale", "features", "score", "low_score"):
        layer = model.get_layer(name)
        layer.set_weights([rng.normal(size=w.shape) * 0.1 for w in layer.get_weights()])
    image = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    stages = {k: np.asarray(v)[0] for k, v in backbone(image).items()}
    kernel = {
        n: model.get_layer(n).get_weights()[0][0, 0] for n in ("scale", "features", "score", "low_score")
    }
    scale = 1 / (1 + np.exp(-(stages["stage4"].mean((0, 1)) @ kernel["scale"])))
    x = np.maximum(stages["stage4"] @ kernel["features"] / np.sqrt(1 + 1e-3), 0) * scale
    x = _bilinear(_bilinear(x, 2).transpose(1, 0, 2), 2).transpose(1, 0, 2)
    bias = sum(model.get_layer(n).get_weights()[1] for n in ("score", "low_score"))
    expected = x @ kernel["score"] + stages["stage3"] @ kernel["low_score"] + bias
    expected = _bilinear(_bilinear(expected, 8).transpose(1, 0, 2), 8).transpose(1, 0, 2)
    np.testing.assert_allclose(np.asarray(model(image))[0], expected, rtol=1e-3, atol=1e-3)


def _bilinear(x, factor):
    """Rows enlarged by a whole factor, samples at pixel centres."""
    place = np.clip((np.arange(len(x) * factor) + 0.5) / factor - 0.5, 0, len(x) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(x) - 1)
    part = (place - low)[:, None, None]
    return x[low] * (1 - part) + x[high] * part
