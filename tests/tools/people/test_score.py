"""Scores of networks that see people: files of any size are scored at one."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def score(monkeypatch):
    pytest.importorskip("torch")  # as the scripts beside it
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("score", "teacher", "slices", "pasted", "data", "listing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import score

    return score


def test_a_file_of_another_size_is_scored_at_256(score, tmp_path):
    """A network of 64x64 that calls red a person, on an image whose right half is red."""
    tf = pytest.importorskip("tensorflow")
    image = keras.Input((64, 64, 3), batch_size=1)
    kernel = np.array([[0, 1], [0, 0], [0, 0]], "float32")[None, None]
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    model.set_weights([kernel, np.array([127, 0], "float32")])
    path = tmp_path / "red.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    shown = np.zeros((90, 120, 3), np.uint8)
    shown[:, 60:, 0] = 255
    found = score.Preset(path)(shown)
    assert found.shape == (256, 256)
    assert not found[:, :127].any()
    assert found[:, 129:].all()
