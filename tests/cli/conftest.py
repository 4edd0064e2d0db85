"""A tiny labelled folder and a tiny model file for the command line."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

CLASSES = ("ground", "left", "right")


def write_pair(root: Path, split: str, name: str, size=(24, 32), seed=0) -> None:
    """A picture of noise and a mask with all three classes and a column of ignored pixels."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    mask[:, : size[1] // 3], mask[:, -size[1] // 3 :], mask[:, -1] = 1, 2, 255
    image = (40 * np.minimum(mask, 3)[..., None] + rng.integers(0, 100, (*size, 3))).astype(np.uint8)
    for part, pixels in (("images", image), ("masks", mask)):
        (root / part / split).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / part / split / f"{name}.png"), pixels)


def tiny_model(num_classes: int) -> keras.Model:
    """Any size in, logits out; the weights are those of a fixed seed."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    first, second = (keras.initializers.HeNormal(seed) for seed in (1, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", kernel_initializer=first, name="conv2d")(x)
    x = keras.layers.Conv2D(num_classes, 1, kernel_initializer=second, name="conv2d_1")(x)
    return keras.Model(image, x, name="tiny")


@pytest.fixture
def labelled(tmp_path) -> Path:
    """A folder data set of four training and two validation pictures."""
    root = tmp_path / "labelled"
    for number in range(4):
        write_pair(root, "train", f"t{number}", seed=number)
    for number in range(2):
        write_pair(root, "val", f"v{number}", seed=10 + number)
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    return root


@pytest.fixture
def model_file(tmp_path) -> Path:
    path = tmp_path / "tiny.keras"
    tiny_model(len(CLASSES)).save(path)
    return path


@pytest.fixture
def small_net(monkeypatch) -> None:
    """`kseg.models.build` gives the tiny model for every name of the catalog."""
    import kseg

    build = kseg.models.build

    def small(name, num_classes, **_):
        if name not in kseg.models.names():
            return build(name, num_classes)
        return tiny_model(num_classes)

    monkeypatch.setattr("kseg.models.build", small)


@pytest.fixture
def mistake(capsys):
    """Run the command with something wrong; checks the exit code, gives the one sentence on stderr."""
    from kseg.cli.main import main

    def run(*argv) -> str:
        assert main([str(word) for word in argv]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        lines = said.err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("kseg: ")
        return lines[0]

    return run
