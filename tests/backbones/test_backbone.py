import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, Backbone
from kseg.backbones.construction import graph_settings
from kseg.errors import SettingsError


def test_stages_keep_their_order():
    backbone = VGG16(widths=(4, 4, 4, 4, 4), filters=3)
    assert list(backbone.stages)[-1] == "fc7"
    assert backbone.deepest is backbone.stages["fc7"]


def test_saves_and_loads_bit_equal(tmp_path):
    backbone = VGG16(widths=(4, 4, 4, 4, 4), filters=3)
    backbone.save(tmp_path / "b.keras")
    twin = keras.saving.load_model(tmp_path / "b.keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(twin(image)["fc7"]), np.asarray(backbone(image)["fc7"]))


def test_a_graph_of_ones_own_keeps_its_range(tmp_path):
    image = keras.Input((None, None, 4))
    backbone = Backbone(image, {"x": keras.layers.Conv2D(2, 1)(image)}, value_range=[0, 4095])
    backbone.save(tmp_path / "b.keras")
    assert keras.saving.load_model(tmp_path / "b.keras").value_range == backbone.value_range == (0, 4095)
    assert VGG16(widths=(4, 4, 4, 4, 4), filters=3).value_range == (0, 255)
    with pytest.raises(SettingsError, match="value_range"):
        Backbone(image, backbone.stages, value_range=(5, 5))


def test_precision_restores_after_an_error():
    def fail():
        with graph_settings("mixed_bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert keras.config.dtype_policy().name == "float32"
