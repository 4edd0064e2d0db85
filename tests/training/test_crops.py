"""Crops as a recipe asks for them."""

import json

import numpy as np
import pytest

import kseg
from kseg.errors import DataError, SettingsError
from kseg.training import RECIPES, Recipe, fit
from kseg.training.crops import cut


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


def test_bad_images_are_told_and_left_out(discs, monkeypatch, capsys):
    train, val = loaded(discs)
    (discs / "images" / "train" / "1.png").write_bytes(b"nonsense")
    recipe = Recipe(crops="objects", size=(16, 16))
    with pytest.raises(DataError, match="1 of 3 images cannot be used, more than 1%"):
        cut(recipe, train, val, skip_bad=True)
    monkeypatch.setattr("kseg.training.crops.MOST_BAD", 0.5)
    crops, checked = cut(recipe, train, val, skip_bad=True)
    assert {crop.image for crop in crops.samples.crops} == {0, 2}
    assert len(checked) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kseg: no crops of 1 images of train")
    assert "1.png" in line


@pytest.mark.full
def test_a_recipe_means_the_same_in_python(discs, network, tmp_path, capfd):
    train, val = loaded(discs)
    recipe = RECIPES["deconvnet_small_stage1"].replace(
        epochs=1, steps_per_epoch=1, size=(16, 16), validate_every=1
    )
    fit(network(), recipe, train, val, tmp_path / "a", tensorboard=False)
    run = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert (run["data"]["train"], run["data"]["val"]) == (6, 2)  # objects, not images
    assert "finding objects in the 3 images of train" in capfd.readouterr().err
    crops, checked = cut(recipe, train, val)  # by the user; they are not cut again
    fit(network(), recipe, crops, checked, tmp_path / "b", tensorboard=False)
    assert json.loads((tmp_path / "b" / "recipe.json").read_text())["data"] == run["data"]
    second = RECIPES["deconvnet_small_stage2"].replace(epochs=1, steps_per_epoch=1, size=(16, 16))
    fit(network(), second, crops, None, tmp_path / "c", tensorboard=False)
    assert "goes on from a network that deconvnet_small_stage1 trained" in capfd.readouterr().err
    start = tmp_path / "a" / "last.keras"
    fit(network(), second, crops, None, tmp_path / "d", tensorboard=False, init_from=start)
    assert "layers from the file" in capfd.readouterr().err
    assert json.loads((tmp_path / "d" / "recipe.json").read_text())["start"] == {"init_from": str(start)}
