"""CONTRIBUTING.md names files that are there, and its steps add a model that works."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.models import catalog

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PATHS = sorted(set(re.findall(r"`((?:kseg|tests|tools|docs)/[\w./]+\.(?:py|md))`", TEXT)))


@pytest.mark.parametrize("path", [path for path in PATHS if "NAME" not in path])
def test_named_files_are_there(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("path", [path for path in PATHS if "NAME" in path])
def test_folders_for_additions_are_there(path):
    assert (ROOT / path).parent.is_dir()


MODEL = '''
import keras

from kseg.layers import ResizeLike
from kseg.models.structure.segmenter import Segmenter


@keras.saving.register_keras_serializable(package="kseg")
class OneConvolution(Segmenter):
    """The smallest head: a score of the deepest stage, upsampled."""

    def __init__(self, backbone, num_classes, *, kernel_size=1, name=None, trainable=True):
        score = keras.layers.Conv2D(num_classes, kernel_size, padding="same", name="score")(backbone.deepest)
        logits = ResizeLike(name="logits", dtype="float32")([score, backbone.input])
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.kernel_size = kernel_size

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}
'''


@pytest.mark.full
def test_the_steps_for_a_model(tmp_path, monkeypatch):
    """A module with a class and a line in the catalog is all that `build`, saving and `Predictor` want."""
    names = {"__name__": "kseg.models.one_convolution"}
    exec(MODEL, names)
    model_class = names["OneConvolution"]

    def one_convolution(num_classes, weights=None):
        return model_class(kseg.backbones.EfficientNetLite(weights=weights), num_classes, kernel_size=3)

    monkeypatch.setitem(catalog.CATALOG, "one_convolution", one_convolution)
    assert "one_convolution" in kseg.models.names()
    model = kseg.models.build("one_convolution", 3)
    model.save(tmp_path / "one.keras")
    loaded = keras.saving.load_model(tmp_path / "one.keras")
    image = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)
    np.testing.assert_array_equal(model(image[None]), loaded(image[None]))
    assert kseg.inference.Predictor(loaded)(image).shape == (45, 70)
