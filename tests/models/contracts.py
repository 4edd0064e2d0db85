"""What every segmentation model promises; each model's test calls this with a small instance."""

import subprocess
import sys

import keras
import numpy as np

from kseg.backbones import EfficientNetLite


def check_segmenter(model, tmp_path, *, sizes=((33, 47),)):
    """Any size in, float32 logits of that size out, bytes as good as floats, and bit-equal after saving."""
    rng = np.random.default_rng(0)
    _randomise(model, rng)
    for height, width in sizes:
        image = rng.integers(0, 256, (2, height, width, 3)).astype("uint8")
        logits = np.asarray(model(image))
        assert logits.shape == (2, height, width, model.num_classes)
        assert logits.dtype == np.float32
        assert np.isfinite(logits).all()
        np.testing.assert_array_equal(logits, np.asarray(model(image.astype("float32"))))
    _check_names(model)
    _check_reload(model, image, tmp_path)


def _randomise(model, rng):
    """Zero-initialised scores would make every comparison trivially true."""
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel"):
            scale = np.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(rng.normal(size=variable.shape) * scale)


def _check_names(model):
    again = type(model).from_config(model.get_config())
    assert [v.path.split("/", 1)[-1] for v in again.variables] == [
        v.path.split("/", 1)[-1] for v in model.variables
    ]
    assert {k: str(v) for k, v in again.get_config().items()} == {
        k: str(v) for k, v in model.get_config().items()
    }


def _check_reload(model, image, tmp_path):
    model.classes = [f"class {i}" for i in range(model.num_classes)]
    model.palette = [(i, 2 * i, 255 - i) for i in range(model.num_classes)]
    path = tmp_path / "model.keras"
    model.save(path)
    twin = keras.saving.load_model(path)
    assert twin.classes == model.classes
    assert twin.palette == model.palette
    np.testing.assert_array_equal(np.asarray(twin(image)), np.asarray(model(image)))


def check_image_level(kind):
    """Without the image level every logit depends on a neighbourhood alone: a far change does not reach it."""
    backbone = EfficientNetLite("lite0", weights=None, last_stage="stage3", output_stride=8)
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 512, 3)).astype("float32")
    changed = image.copy()
    changed[:, :, 448:] = 0
    reached = {}
    for image_level in (True, False):
        model = kind(backbone, 2, rates=(2,), filters=4, image_level=image_level)
        before, after = (np.asarray(model(x))[:, :, :32] for x in (image, changed))
        reached[image_level] = bool((before != after).any())
        assert ("image_pool" in {layer.name for layer in model.layers}) is image_level
    assert reached == {True: True, False: False}


def check_fresh_process(model, tmp_path):
    """The saved file gives the same bits in a process that imports nothing but kseg and Keras."""
    image = np.random.default_rng(1).uniform(0, 255, (1, 40, 56, 3)).astype("float32")
    np.savez(tmp_path / "case.npz", image=image, logits=np.asarray(model(image)))
    model.save(tmp_path / "fresh.keras")
    code = (
        "import sys, numpy as np, kseg, keras; case = np.load(sys.argv[1] + '/case.npz');"
        "model = keras.saving.load_model(sys.argv[1] + '/fresh.keras');"
        "np.testing.assert_array_equal(np.asarray(model(case['image'])), case['logits'])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, timeout=120)
