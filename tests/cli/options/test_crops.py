import json
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

import kseg
from kseg.cli import train as verb
from kseg.cli.main import main
from kseg.cli.options.crops import cut
from kseg.errors import DataError, SettingsError
from kseg.training import Recipe

NAME = "fcn8s_efficientnetlite0"  # small_net puts a net of two convolutions in its place


@pytest.fixture
def discs(tmp_path, monkeypatch) -> Path:
    """Bright discs and a square on dark ground, which Edge Boxes find."""
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "discs"
    for split, count in (("train", 3), ("val", 1)):
        for part in ("images", "masks"):
            (root / part / split).mkdir(parents=True)
        for number in range(count):
            image = np.full((120, 160, 3), 50, np.uint8)
            mask = np.zeros((120, 160), np.uint8)
            cv2.circle(image, (50 + 8 * number, 60), 30, (200, 160, 90), -1)
            cv2.circle(mask, (50 + 8 * number, 60), 30, 1, -1)
            if number == 0:
                cv2.rectangle(image, (110, 30), (150, 80), (90, 220, 120), -1)
                cv2.rectangle(mask, (110, 30), (150, 80), 2, -1)
            noise = np.random.default_rng(number).integers(0, 8, image.shape)
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), (image + noise).astype(np.uint8))
            cv2.imwrite(str(root / "masks" / split / f"{number}.png"), mask)
    (root / "classes.txt").write_text("ground\ndisc\nsquare\n")
    return root


def loaded(root):
    return [kseg.data.load("folder", root, split) for split in ("train", "val")]


def test_crops_as_the_recipe_says(discs, tmp_path, capsys):
    train, val = loaded(discs)
    assert cut(Recipe(), train, val) == (train, val)
    with pytest.raises(SettingsError, match="size is null"):
        cut(Recipe(crops="objects", size=None), train, val)
    objects, checked = cut(Recipe(crops="objects", size=(112, 224)), train, val)
    # Three discs and a square, which comes three times; 250/224 of the size, validation at the size.
    assert [image.shape for image, _ in map(objects.load, range(len(objects)))] == [(125, 250, 3)] * 6
    assert [image.shape for image, _ in map(checked.load, range(len(checked)))] == [(112, 224, 3)] * 2
    assert set(np.unique(checked.load(1)[1])) <= {0, 2, 255}
    proposals, checked = cut(Recipe(crops="proposals", size=(112, 112)), train, None)
    assert checked is None
    assert len(proposals) > 6
    kept = list((tmp_path / "cache" / "proposals").iterdir())
    assert len(kept) == 3
    before = [path.stat().st_mtime_ns for path in kept]
    again, _ = cut(Recipe(crops="proposals", size=(112, 112)), train, None)
    assert again.samples.crops == proposals.samples.crops
    assert [path.stat().st_mtime_ns for path in kept] == before


def test_bad_pictures_are_told_and_left_out(discs, monkeypatch, capsys):
    train, val = loaded(discs)
    (discs / "images" / "train" / "1.png").write_bytes(b"nonsense")
    recipe = Recipe(crops="objects", size=(16, 16))
    with pytest.raises(DataError, match="1 of 3 pictures cannot be used, more than 1%"):
        cut(recipe, train, val, skip_bad=True)
    monkeypatch.setattr("kseg.cli.options.crops.MOST_BAD", 0.5)
    crops, checked = cut(recipe, train, val, skip_bad=True)
    assert {crop.picture for crop in crops.samples.crops} == {0, 2}
    assert len(checked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kseg: no crops of 1 pictures of train")
    assert "1.png" in line


def command(root, out, recipe, *more):
    words = ["train", "--model", NAME, "--data", "folder", "--root", root, "--out", out, "--recipe", recipe]
    short = ["--steps-per-epoch", "2", "--batch-size", "2", "--size", "16", "16"]
    return [str(word) for word in (*words, *short, *more)]


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


def test_stages_are_taken_only_where_named():
    assert verb.chosen_recipe(None, "deconvnet_small", "voc").crops is None
    assert verb.chosen_recipe(None, "deconvnet_vgg16", "voc").crops is None
    assert verb.chosen_recipe(None, "deconvnet_small", "camvid").name == "deconvnet_small_camvid"
    assert verb.chosen_recipe("deconvnet_stage1", "deconvnet_small", "folder").crops == "objects"


def test_pictures_without_objects(discs, small_net, tmp_path, capsys):
    for path in (discs / "masks" / "train").iterdir():
        cv2.imwrite(str(path), np.zeros((120, 160), np.uint8))
    out = tmp_path / "out"
    assert main(command(discs, out, "deconvnet_small_stage1")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("kseg: ")
    assert "no object found in the 3 pictures" in last
    assert not out.exists()
