"""Files that kseg wrote on 27 November 2026 (commit 6a499c3), before the second house, give the same logits."""

from pathlib import Path

import keras
import numpy as np
import pytest

FILES = Path(__file__).parent / "files"


NAMES = sorted(path.stem for path in FILES.glob("*.keras"))
EVERY_DAY = {"deconvnet", "deeplabv3plus", "multi_scale"}  # unpooling, atrous convolution, several scales


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in EVERY_DAY else pytest.mark.full) for n in NAMES])
def test_gives_the_logits_it_gave(name):
    model = keras.saving.load_model(FILES / f"{name}.keras")
    image = np.random.default_rng(5).integers(0, 256, (1, 43, 58, 3)).astype("float32")
    expected = np.load(FILES / f"{name}.npz")["logits"]
    # Bit for bit on the machine that wrote them; another CPU adds up in another order, another backend even more so.
    close = 1e-5 if keras.backend.backend() == "tensorflow" else 1e-4
    np.testing.assert_allclose(np.asarray(model(image)), expected, atol=close * expected.std(), rtol=0)
    assert model.classes == ("a", "b", "c")
    assert model.palette == ((0, 0, 0), (9, 8, 7), (1, 2, 3))


def test_working_size_is_kept():
    assert keras.saving.load_model(FILES / "deeplabv3plus.keras").working_size == (64, 96)
