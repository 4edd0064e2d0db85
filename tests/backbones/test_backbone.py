import keras
import numpy as np
import pytest

from kseg.backbones import VGG16
from kseg.backbones.construction import graph_settings


def test_stages_keep_their_order():
    backbone = VGG16(filters=3)
    assert list(backbone.stages)[-1] == "fc7"
    assert backbone.deepest is backbone.stages["fc7"]


def test_saves_and_loads_bit_equal(tmp_path):
    backbone = VGG16(filters=3)
    backbone.save(tmp_path / "b.keras")
    twin = keras.saving.load_model(tmp_path / "b.keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(twin(image)["fc7"]), np.asarray(backbone(image)["fc7"]))


def test_precision_restores_after_an_error():
    def fail():
        with graph_settings("mixed_bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert keras.config.dtype_policy().name == "float32"
