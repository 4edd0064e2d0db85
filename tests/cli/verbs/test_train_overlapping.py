"""Classes that overlap, from a folder of masks to masks."""

import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.cli.main import main

MIXED_COLOURS = """
import keras
import kseg

def build(classes):
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(16, 1, activation="relu")(x)
    logits = keras.layers.Conv2D(classes, 1, dtype="float32")(x)
    backbone = kseg.backbones.Backbone(image, {"x": x})
    model = kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=classes)
    model.multilabel = True
    return model
"""


@pytest.mark.full
def test_a_folder_of_overlapping_classes_from_training_to_masks(tmp_path, capsys):
    """Two colours that mix where their classes overlap, which a 1x1 convolution can tell apart."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for number in range(8):
        masks = rng.integers(0, 2, (16, 16, 2), dtype=np.uint8)
        pixels = np.concatenate([masks * 255, masks[..., :1] * 0], axis=-1)
        split = "train" if number < 6 else "val"
        layers = {f"masks/{split}/{name}": masks[..., i] * 255 for i, name in enumerate(("red", "green"))}
        for folder, array in ({f"images/{split}": pixels} | layers).items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{number}.png")
    (root / "classes.txt").write_text("red\ngreen\n")
    own = tmp_path / "mine.py"
    own.write_text(MIXED_COLOURS)
    run = ["train", "--model", f"{own}:build", "--data", "folder", "--root", root, "--out", tmp_path / "run"]
    run += ["--epochs", "12", "--steps-per-epoch", "8", "--batch-size", "2", "--size", "16", "16"]
    assert main([str(word) for word in (*run, "--learning-rate", "0.05")]) == 0
    model = str(tmp_path / "run" / "best.keras")
    assert main(["evaluate", "--model", model, "--data", "folder", "--root", str(root), "--json"]) == 0
    capsys.readouterr()
    out = tmp_path / "out"
    images = str(root / "images" / "val")
    assert main(["predict", "--model", model, images, "--out", str(out), "--save", "masks"]) == 0
    for name in ("red", "green"):
        for path in (root / "masks" / "val" / name).iterdir():
            expected = kseg.data.read_mask(path) // 255
            assert (kseg.data.read_mask(out / "masks" / name / path.name) == expected).mean() > 0.95
