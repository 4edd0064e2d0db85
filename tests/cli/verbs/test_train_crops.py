"""Stages on crops of objects and of proposals, by the command line."""

import json

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.cli.main import main

NAME = "fcn8s_efficientnetlite0"  # small_net puts a net of two convolutions in its place


def command(root, out, recipe, *more):
    words = ["train", "--model", NAME, "--data", "folder", "--root", root, "--out", out, "--recipe", recipe]
    short = ["--steps-per-epoch", "2", "--batch-size", "2", "--size", "16", "16"]
    return [str(word) for word in (*words, *short, *more)]


@pytest.mark.full
def test_two_stages(discs, small_net, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(command(discs, first, "deconvnet_small_stage1", "--epochs", "1")) == 0
    settings = json.loads((first / "recipe.json").read_text())
    assert (settings["recipe"]["crops"], settings["data"]["train"], settings["data"]["val"]) == (
        "objects",
        6,
        2,
    )
    start = ("--init-from", first / "best.keras")
    assert main(command(discs, second, "deconvnet_small_stage2", "--epochs", "1", *start)) == 0
    assert "2 layers from the file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stage_goes_on_exactly(discs, small_net, tmp_path, capsys):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(command(discs, whole, "deconvnet_small_stage2", "--epochs", "2")) == 0
    # The same schedule, broken off after the first epoch.
    with pytest.MonkeyPatch.context() as patch:
        stop = kseg.training.Checkpoint.on_epoch_end

        def once(self, epoch, logs=None):
            stop(self, epoch, logs)
            raise KeyboardInterrupt

        patch.setattr(kseg.training.Checkpoint, "on_epoch_end", once)
        assert main(command(discs, parts, "deconvnet_small_stage2", "--epochs", "2")) == 130
    assert main(command(discs, parts, "deconvnet_small_stage2", "--epochs", "2")) == 0
    assert "going on after epoch 1" in capsys.readouterr().err
    found, expected = (keras.models.load_model(out / "last.keras", compile=False) for out in (parts, whole))
    for a, b in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_pictures_without_objects(discs, small_net, tmp_path, capsys):
    for path in (discs / "masks" / "train").iterdir():
        cv2.imwrite(str(path), np.zeros((120, 160), np.uint8))
    out = tmp_path / "out"
    assert main(command(discs, out, "deconvnet_small_stage1")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("kseg: ")
    assert "no object found in the 3 images" in last
    assert not out.exists()
