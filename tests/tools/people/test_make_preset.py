import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
import pytest

TOOL = Path(__file__).parents[3] / "tools" / "people" / "make_preset.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_preset", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(64, 3, padding="same")(image)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(image, keras.layers.Conv2D(2, 1)(x))


def test_halved_files_load_and_nearly_agree(tool, tmp_path):
    model = small()
    rng = np.random.default_rng(0)
    variances = rng.uniform(1e-8, 1e5, 64)  # half precision holds neither
    model.layers[2].set_weights([np.ones(64), np.zeros(64), rng.normal(size=64), variances])
    model.save(tmp_path / "whole.keras")
    tool.packed(tmp_path / "whole.keras", tmp_path / "half.keras", (9, 9))
    twin = keras.saving.load_model(tmp_path / "half.keras", safe_mode=True)
    image = rng.uniform(0, 255, (1, 9, 9, 3)).astype("float32")
    expected = np.asarray(model(image))
    np.testing.assert_allclose(np.asarray(twin(image)), expected, atol=2e-3 * np.abs(expected).max())
    np.testing.assert_array_equal(twin.layers[2].get_weights()[3], variances.astype("float32"))
    kernel = twin.layers[1].get_weights()[0]
    np.testing.assert_array_equal(kernel, kernel.astype("float16"))


def test_scores_of_a_perfect_and_of_an_empty_answer(tool):
    class Data:
        classes, num_classes, ignore_label = ("background", "person"), 2, 255
        labels = np.repeat(np.array([[0, 1, 1, 255]], np.uint8), 4, axis=0)

        def __len__(self):
            return 2

        def load(self, index):
            image = np.zeros((4, 4, 3), np.uint8)
            image[..., 0] = self.labels
            return image, self.labels

    perfect = tool.class_scores(lambda x: np.stack([0.5 - x[..., 0], x[..., 0] - 0.5], -1), Data(), (4, 4))
    assert perfect == {"mean_iou": 1.0, "class_iou": {"background": 1.0, "person": 1.0}, "pictures": 2}
    nobody = tool.class_scores(lambda x: np.stack([x[..., 0] + 1, 0 * x[..., 0]], -1), Data(), (4, 4))
    assert nobody["class_iou"]["person"] == 0
    assert nobody["class_iou"]["background"] == pytest.approx(1 / 3, abs=1e-4)


def test_settings_and_command_come_from_the_run(tool, tmp_path):
    recipe = {"name": "people_lite0", "model": "net", "data": "people"}
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    settings, command = tool.run_settings(tmp_path / "best.keras")
    assert settings == recipe
    assert command == "kseg train --model net --data people --recipe people_lite0"
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": recipe, "model": {"name": "other"}}))
    assert "--model other " in tool.run_settings(tmp_path / "best.keras")[1]
    assert tool.run_settings(tmp_path / "x" / "best.keras") == ({}, "")


def test_large_files_are_refused(tool, tmp_path, monkeypatch):
    (tmp_path / "a.keras").write_bytes(b"abc")
    assert tool.entry(tmp_path / "a.keras")["sha256"].startswith("ba7816bf")  # FIPS 180-2's example
    monkeypatch.setattr(tool, "MAX_BYTES", 2)
    with pytest.raises(SystemExit, match="at most 2"):
        tool.entry(tmp_path / "a.keras")
