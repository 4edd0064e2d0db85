import sys

import keras
import numpy as np
import pytest

from kseg.errors import KsegWarning, SettingsError
from kseg.export import Site
from kseg.models import preset_file
from kseg.webcam.web import publish


@pytest.mark.full
def test_a_preset_brings_its_own_int8_file(runtime, tmp_path, monkeypatch):
    asked = {}

    def web(*_, **given):
        asked.update(given)
        return Site("site", {"int8": None} if given["int8"] else {"float16": None}, {}, 0)

    monkeypatch.setattr(sys.modules["kseg.webcam.web.publish"], "web", web)
    publish("people", tmp_path / "site", runtime=runtime)
    assert asked["int8"] == preset_file("people", "int8")
    assert (asked["name"], asked["calibration"]) == ("people", None)
    assert tuple(asked["size"]) == (256, 256)
    with pytest.warns(KsegWarning, match="float16 file alone"):  # the preset's file is for another size
        publish("people", tmp_path / "site", size=(128, 128), runtime=runtime)
    assert asked["int8"] is None


@pytest.fixture
def saved(tmp_path):
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(2, 1)
    keras.Model(image, layer(image), name="bright").save(tmp_path / "m.keras")
    return str(tmp_path / "m.keras")


@pytest.mark.slow
def test_a_model_without_images_gets_float16_alone(runtime, tmp_path, saved):
    with pytest.warns(KsegWarning, match="--data NAME"):
        found = publish(saved, tmp_path / "site", size=(8, 8), runtime=runtime)
    assert list(found.parities) == ["float16"]
    with pytest.raises(SettingsError, match="--overwrite"):
        publish(saved, tmp_path / "site", size=(8, 8), runtime=runtime)


@pytest.mark.full
def test_a_model_calibrated_on_a_data_set(runtime, tmp_path, saved):
    class Dataset:
        def __len__(self):
            return 3

        def load(self, number):
            return np.full((20, 30, 3), 80 * number, np.uint8), np.zeros((20, 30), np.uint8)

    found = publish(saved, tmp_path / "site", size=(8, 8), calibration=Dataset(), count=2, runtime=runtime)
    assert list(found.parities) == ["int8", "float16"]
    assert found.parities["int8"].agreement > 0.9


def test_an_exported_file(runtime, tmp_path, saved):
    int8 = str(preset_file("people", "int8"))
    assert list(publish(int8, tmp_path / "site", runtime=runtime).parities) == ["int8"]
    with pytest.raises(SettingsError, match="has its size"):
        publish(int8, tmp_path / "other", size=(8, 8), runtime=runtime)
