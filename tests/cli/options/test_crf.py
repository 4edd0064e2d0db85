"""--crf of predict and evaluate: the labels are those of the Python call on the model's probabilities."""

import argparse

import cv2
import keras
import numpy as np
import pytest

from kseg.cli.main import main
from kseg.cli.options.crf import add_crf, crf_of
from kseg.data import read_mask
from kseg.errors import SettingsError
from kseg.inference import DenseCRF, Predictor
from kseg.inference.crf.settings_file import crf_to_dict, save_crf

SETTINGS = {"bilateral_xy_std": 8.0, "bilateral_rgb_std": 30.0, "bilateral_weight": 6.0, "iterations": 3}


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_crf(parser)
    return crf_of(parser.parse_args(words))


def test_options_change_single_settings(tmp_path):
    assert parsed() is None
    assert crf_to_dict(parsed("--crf")) == crf_to_dict(DenseCRF())
    save_crf(DenseCRF(bilateral_xy_std=30), tmp_path / "crf.json")
    words = ["--crf", str(tmp_path / "crf.json"), "--crf-weight", "7", "--crf-rgb", "6", "--crf-tile", "99"]
    words += ["--crf-iterations", "2", "--crf-smooth-weight", "1", "--crf-smooth-xy", "2"]
    expected = DenseCRF(2, 1, 30, 6, 7, 2, tile=99)
    assert crf_to_dict(parsed(*words)) == crf_to_dict(expected)
    assert parsed("--crf", "--crf-xy", "12").bilateral_xy_std == 12
    assert parsed("--crf", "--crf-device", "cpu").device == "cpu:0"
    for alone in (["--crf-xy", "12"], ["--crf-device", "cpu"]):
        with pytest.raises(SettingsError, match="--crf too"):
            parsed(*alone)
    with pytest.raises(SettingsError, match="cannot run on device gpu:63"):
        parsed("--crf", "--crf-device", "gpu:63")


@pytest.mark.full
def test_predicted_and_evaluated_as_in_python(labelled, model_file, tmp_path, capsys):
    import json

    file, out = tmp_path / "crf.json", tmp_path / "out"
    crf = DenseCRF(**SETTINGS)
    save_crf(crf, file)
    pictures = labelled / "images" / "val"
    words = ["predict", pictures, "--model", model_file, "--out", out, "--no-overlay", "--crf", file]
    assert main([str(word) for word in words]) == 0
    model = keras.models.load_model(model_file)
    changed, right, counted = 0, 0, 0
    for name in ("v0", "v1"):
        image = cv2.imread(str(pictures / f"{name}.png"))[..., ::-1]
        before = Predictor(model).probabilities(image)
        expected = crf(image, before).argmax(-1)
        np.testing.assert_array_equal(read_mask(out / f"{name}.png"), expected)
        changed += (before.argmax(-1) != expected).sum()
        truth = cv2.imread(str(labelled / "masks" / "val" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        right, counted = right + (expected == truth).sum(), counted + (truth != 255).sum()
    assert changed > 0
    capsys.readouterr()
    words = [
        "evaluate",
        "--model",
        model_file,
        "--data",
        "folder",
        "--root",
        labelled,
        "--json",
        "--crf",
        file,
    ]
    assert main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["pixel_accuracy"] == pytest.approx(right / counted)


def test_mistakes(labelled, model_file, tmp_path, mistake):
    start = ["predict", labelled / "images" / "val", "--model", model_file, "--out", tmp_path / "out"]
    assert "no.json" in mistake(*start, "--crf", tmp_path / "no.json")
    assert "give --crf too" in mistake(*start, "--crf-weight", "3")
    assert not (tmp_path / "out").exists()
