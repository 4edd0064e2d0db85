"""Two classes as one sigmoid channel, from training to masks."""

import numpy as np
import pytest
from PIL import Image

import kseg
from kseg.cli.main import main

RED = """
import keras
import kseg

def build(classes):
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    backbone = kseg.backbones.Backbone(image, {"x": x})
    logits = keras.layers.Conv2D(classes, 1, dtype="float32")(x)
    return kseg.models.Segmenter(image, logits, backbone=backbone, num_classes=classes)
"""


@pytest.fixture
def red(tmp_path):
    """A folder whose class 1 is red, and the words of a training."""
    rng, root = np.random.default_rng(0), tmp_path / "data"
    for number in range(6):
        mask = rng.integers(0, 2, (16, 16), dtype=np.uint8)
        pixels = np.stack([mask * 200, *rng.integers(0, 200, (2, 16, 16), dtype=np.uint8)], -1)
        split = "train" if number < 4 else "val"
        for folder, array in ((f"images/{split}", pixels), (f"masks/{split}", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / folder / f"{number}.png")
    (root / "classes.txt").write_text("ground\nred\n")
    (tmp_path / "mine.py").write_text(RED)
    words = ["train", "--model", f"{tmp_path}/mine.py:build", "--data", "folder", "--root", root]
    words += ["--batch-size", "2", "--size", "16", "16", "--learning-rate", "0.5", "--one-channel"]
    return root, [str(word) for word in words]


@pytest.mark.full
def test_one_channel_learns_two_classes(red, tmp_path, capsys):
    root, words = red
    run = tmp_path / "run"
    assert main([*words, "--out", str(run), "--epochs", "2", "--steps-per-epoch", "30"]) == 0
    best = run / "best.keras"
    model = kseg.models.load(best)
    assert (model.output_shape[-1], model.classes) == (1, ("ground", "red"))
    assert max(row["val_mean_iou"] for row in kseg.training.read_metrics(run / "metrics.csv")) > 0.9
    out, image = tmp_path / "out", root / "images/val/4.png"
    assert main(["predict", "--model", str(best), str(image), "--out", str(out), "--threshold", "0.4"]) == 0
    expected = kseg.data.read_mask(root / "masks/val/4.png")
    assert (kseg.data.read_mask(out / "4.png") == expected).mean() > 0.95
    # From its file the network keeps its one channel.
    again = [word for word in words if word != "--one-channel"][3:]
    more = ["--init-from", str(best), "--out", str(tmp_path / "more"), "--epochs", "1", "--steps-per-epoch", "1"]
    assert main(["train", *again, *more]) == 0
    assert kseg.models.load(tmp_path / "more/last.keras").output_shape[-1] == 1


def test_one_channel_is_of_two_classes(red, tmp_path, mistake):
    root, words = red
    (root / "classes.txt").write_text("ground\nred\nblue\n")
    said = mistake(*words, "--out", tmp_path / "run")
    assert "--one-channel is for two classes, background and object; data has 3 classes" in said
