import keras
import numpy as np
import pytest

from kseg.models import build
from kseg.models.structure.heads import HEADS

FAMILIES = (  # one network of each family that is built in its own way
    "vgg16", "resnet50v2", "mobilenet_v2", "mobilenet_v3_small", "densenet121", "convnext_tiny", "efficientnet_b0",
    "inception_v3", "nasnet_mobile",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_on_every_family(head, name, tmp_path):
    model = build(head, 3, encoder=name, weights=None)
    image = np.random.default_rng(0).uniform(0, 255, (1, 81, 100, 3)).astype("float32")
    logits = np.asarray(model(image))
    assert logits.shape == (1, 81, 100, 3)
    assert np.isfinite(logits).all()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(image)), logits)


@pytest.mark.parametrize("head", [pytest.param("unet", marks=pytest.mark.full), "lraspp"])
@pytest.mark.full
def test_a_head_on_a_small_encoder(head, tmp_path):
    model = build(head, 3, encoder="mobilenet_v3_small", weights=None)
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(again(image)), np.asarray(model(image)))
    assert model.name == f"{head}_mobilenet_v3_small"
