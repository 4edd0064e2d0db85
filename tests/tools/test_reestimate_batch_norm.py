import importlib.util
import json
from pathlib import Path
from unittest.mock import Mock

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.training import Recipe

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("reestimate", ROOT / "tools" / "reestimate_batch_norm.py")
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


def run_folder(root, recipe):
    image = keras.Input((None, None, 3))
    normalised = keras.layers.BatchNormalization(epsilon=1e-3)(image)
    keras.Model(image, keras.layers.Conv2D(2, 1)(normalised)).save(root / "best.keras")
    (root / "recipe.json").write_text(json.dumps({"recipe": recipe.to_dict()}))
    for part, pixels in (("images", np.full((40, 40, 3), (30, 20, 10))), ("masks", np.zeros((40, 40)))):
        (root / "data" / part).mkdir(parents=True)
        if part == "masks":
            pixels[5:35, 5:35] = 1
        cv2.imwrite(str(root / "data" / part / "a.png"), pixels.astype(np.uint8))
    return [str(root / "best.keras"), "--data", "folder", "--root", str(root / "data")]


@pytest.mark.slow
def test_the_statistics_are_those_of_what_training_sees(tmp_path, capsys):
    """Pictures of one colour, whatever their crop: mean (10, 20, 30) as RGB, no variance."""
    words = run_folder(tmp_path, Recipe(size=(16, 16), mirror=True, crops="objects"))
    out = tmp_path / "final.keras"
    assert tool.main([*words, "--out", str(out), "--passes", "2", "--batch-size", "3"]) == 0
    assert "2 batches" in capsys.readouterr().out
    layer = kseg.models.load(out).layers[1]
    np.testing.assert_allclose(layer.moving_mean, [10, 20, 30], atol=1e-3)
    np.testing.assert_allclose(layer.moving_variance, 0, atol=1e-3)
    before = kseg.models.load(tmp_path / "best.keras").layers[1]
    np.testing.assert_array_equal(before.moving_mean, 0)


def test_a_model_without_its_run(tmp_path, capsys):
    words = run_folder(tmp_path, Recipe())
    (tmp_path / "recipe.json").unlink()
    assert tool.main([*words, "--out", str(tmp_path / "final.keras")]) == 2
    assert "recipe.json" in capsys.readouterr().err


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    words = run_folder(tmp_path, Recipe(size=(16, 16)))
    for out in ("final.h5", "nowhere/final.keras"):
        assert tool.main([*words, "--out", str(tmp_path / out), "--passes", "1"]) == 2
        assert out in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([*words, "--out", str(tmp_path / "final.keras"), "--passes", "-1"])


def test_the_model_itself_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, capsys):
    words = run_folder(tmp_path, Recipe(size=(16, 16)))
    words += ["--out", words[0], "--passes", "1", "--batch-size", "1"]
    before = Path(words[0]).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", Mock(side_effect=OSError(28, "No space left on device")))
        assert tool.main(words) == 2
    assert "No space" in capsys.readouterr().err
    assert Path(words[0]).read_bytes() == before
    assert tool.main(words) == 0
    np.testing.assert_allclose(kseg.models.load(words[0]).layers[1].moving_mean, [10, 20, 30], atol=1e-3)
