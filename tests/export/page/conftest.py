"""A runtime of a few bytes in place of LiteRT.js, which the tests without a browser do not run."""

import hashlib

import keras
import numpy as np
import pytest

from kseg.export.page import litert_js


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """A folder as ``npm install`` leaves it, with files whose SHA-256 kseg is made to expect."""
    folder, files = tmp_path / "npm", {}
    for name, (package, place, _) in litert_js.FILES.items():
        content = f'{name}\nimport {{ createWasmLib }} from "@litertjs/wasm-utils";\n'.encode()
        path = folder / "node_modules" / "@litertjs" / package / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files[name] = (package, place, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(litert_js, "FILES", files)
    monkeypatch.setenv("KSEG_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def model():
    """A network of one convolution with three named classes, for images of any size."""
    image = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(3, 1)
    made = keras.Model(image, layer(image), name="tiny")
    layer.set_weights([np.linspace(-1, 1, 9, dtype="float32").reshape(1, 1, 3, 3), np.zeros(3, "float32")])
    made.classes, made.palette = ("road", "sky", "tree"), ((1, 2, 3), (4, 5, 6), (7, 8, 9))
    return made
