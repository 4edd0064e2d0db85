import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

ROOT = Path(__file__).resolve().parents[3]
_spec = importlib.util.spec_from_file_location(
    "average_weights", ROOT / "tools" / "people" / "average_weights.py"
)
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


def saved(path, seed, width=3):
    image = keras.Input((None, None, 3))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(width, 1, name="conv")(image))
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="score")(x))
    random = np.random.default_rng(seed)
    model.set_weights([random.uniform(0.5, 2, w.shape) for w in model.get_weights()])
    model.save(path)
    return model.get_weights()


@pytest.mark.parametrize(("shares", "parts"), [((), (0.5, 0.5)), (("3", "1"), (0.75, 0.25))])
def test_every_number_is_the_mean(tmp_path, shares, parts):
    """Statistics of batch normalisation too; by a plain loop."""
    first, second = (saved(tmp_path / f"{name}.keras", seed) for name, seed in (("a", 1), ("b", 2)))
    out = tmp_path / "mean.keras"
    words = [str(tmp_path / "a.keras"), str(tmp_path / "b.keras"), "--out", str(out)]
    assert tool.main([*words, *(("--shares", *shares) if shares else ())]) == 0
    found = kseg.models.load(out).get_weights()
    assert len(found) == 8
    for one, two, mean in zip(first, second, found, strict=True):
        np.testing.assert_allclose(mean, parts[0] * one + parts[1] * two, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["a.keras", "wide.keras", "--out", "m.keras"],
            "wide.keras: another network .* part at conv/kernel",
        ),
        (["a.keras", "a.keras", "--out", "m.h5"], "m.h5: give --out"),
        (["a.keras", "a.keras", "--out", "m.keras", "--shares", "1"], "expected 2 numbers"),
        (["a.keras", "a.keras", "--out", "m.keras", "--shares", "0", "0"], "not all 0"),
        (["a.keras", "a.keras", "--out", "m.keras", "--shares", "nan", "1"], "expected 2 numbers"),
        (["a.keras", "none.keras", "--out", "m.keras"], "none.keras"),
    ],
)
def test_mistakes_write_nothing(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    saved("a.keras", 1)
    saved("wide.keras", 1, width=4)
    assert tool.main(words) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not Path("m.keras").exists()
