import sys
from pathlib import Path

import numpy as np
import pytest

from kseg import models
from kseg.backbones import DeepLabVGG16
from kseg.models import DeepLabV1

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter

# Chen et al. 2015, table 2, in full: 21 classes
PUBLISHED = {
    "deeplabv1_vgg16": 20_505_429,
    "deeplabv1_vgg16_4x4": 65_140_565,
    "deeplabv1_vgg16_7x7": 134_346_581,
    "deeplabv1_vgg16_msc": 21_711_445,
}


@pytest.mark.full
def test_contract_of_the_multi_scale_net(tmp_path):
    backbone = DeepLabVGG16(filters=4, dropout=0.25, name="vgg16")
    check_segmenter(DeepLabV1(backbone, 3, multi_scale=True, dropout=0.1), tmp_path)


@pytest.mark.full
def test_contract_of_the_multi_scale_net_for_testing(tmp_path):
    backbone = DeepLabVGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16")
    check_segmenter(DeepLabV1(backbone, 3, multi_scale="dense"), tmp_path)


def test_the_multi_scale_net_has_the_same_scores_at_its_cells_in_both_forms():
    """The release trains the strided one and tests the other with its weights."""
    backbone = DeepLabVGG16(widths=(4, 4, 4, 4, 4), filters=4, name="vgg16")
    trained, tested = (DeepLabV1(backbone, 3, multi_scale=form) for form in (True, "dense"))
    at, kernel = 4, trained.get_layer("fc8").get_weights()[0]
    tested.get_layer("fc8").set_weights([kernel[:, :, :at], np.array([1, 2, 3])])
    trained.get_layer("fc8").set_weights([kernel, np.array([1, 2, 3])])
    for source in ("image", "pool1", "pool2", "pool3", "pool4"):
        for number in (1, 2):
            layer = f"{source}_conv{number}"
            tested.get_layer(layer).set_weights(trained.get_layer(layer).get_weights())
        part = kernel[:, :, at : at + 128]
        tested.get_layer(f"{source}_score").set_weights([part, np.zeros(3)])
        at += 128
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 41, 3)).astype("float32")
    a, b = (np.asarray(model(image))[:, ::8, ::8] for model in (trained, tested))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(a).max())


def test_loss_grid():
    """Logits at every eighth pixel are the score layer's own, where the release puts its loss."""
    model = DeepLabV1(DeepLabVGG16(filters=4, kernel=4, rate=4, average=False, name="vgg16"), 3)
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 41, 3)).astype("float32")
    scores = model.get_layer("fc8")(model.backbone(image)["fc7"])
    logits = np.asarray(model(image))[:, ::8, ::8]
    np.testing.assert_allclose(logits, np.asarray(scores), rtol=1e-4, atol=1e-6)


def test_even_spread_for_other_backbones():
    backbone = DeepLabVGG16(filters=4, pool_size=2, average=False, name="vgg16")
    model = DeepLabV1(backbone, 3, align_corners=False)
    assert DeepLabV1.from_config(model.get_config()).align_corners is False
    assert type(model.get_layer("logits")).__name__ == "ResizeLike"


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    assert models.build(name, 21).count_params() == PUBLISHED[name]
