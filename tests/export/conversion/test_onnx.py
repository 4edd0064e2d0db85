import gc
import importlib
import time
import weakref

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError, SettingsError

pytestmark = pytest.mark.parity


@pytest.fixture(autouse=True)
def onnxruntime():
    return pytest.importorskip("onnxruntime")


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_free_sizes_batches_and_names(net, tmp_path):
    path = tmp_path / "n.onnx"
    assert kseg.export.onnx(net, path).equal
    found = session(path)
    assert [tensor.name for tensor in found.get_inputs()] == ["image"]
    assert [tensor.name for tensor in found.get_outputs()] == ["logits"]
    for shape in ((1, 17, 23, 3), (2, 40, 8, 3)):
        image = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
        np.testing.assert_allclose(found.run(["logits"], {"image": image})[0], net(image), atol=1e-4)


def test_fixed_size_class_ids_opset_and_side_file(net, dataset, tmp_path):
    import onnx

    path = tmp_path / "n.onnx"
    kseg.export.onnx(net, path, size=(24, 36), class_ids=True, images=dataset)
    found, (image, _) = session(path), dataset.load(2)
    (ids,) = found.run(["class_ids"], {"image": image[None].astype("float32")})
    assert ids.dtype == np.uint8
    assert (ids == np.asarray(net(image[None].astype("float32"))).argmax(-1)).mean() > 0.99
    assert found.get_inputs()[0].shape[1:] == [24, 36, 3]
    assert {entry.domain: entry.version for entry in onnx.load(path).opset_import}[""] == 17
    assert kseg.export.read_metadata(path)["input"]["size"] == [24, 36]
    assert kseg.export.load(path).size == (24, 36)


def test_every_fixed_enlargement_reaches_its_size(tmp_path):
    """6 x float32(17 / 6) is 16.9999995, of which a runtime takes the whole part."""
    import keras

    assert int(6 * float(np.float32(17 / 6))) == 16
    for number, (rows, size) in enumerate([(6, 17), (7, 31)]):  # short in float64; in float32 also
        image = keras.Input((size, size, 2))
        small = keras.layers.AveragePooling2D(size // rows)(image)[:, :rows, :rows]
        net = keras.Model(image, kseg.layers.ResizeLike()([small, image]))
        assert kseg.export.onnx(net, tmp_path / f"{number}.onnx", size=(size, size)).equal
        found = session(tmp_path / f"{number}.onnx").run(None, {"image": np.ones((1, size, size, 2), "f")})[0]
        assert found.shape == (1, size, size, 2)


def test_half_precision_runs(half_net, tmp_path):
    assert kseg.export.onnx(half_net, tmp_path / "n.onnx", size=(24, 36)).equal


def test_mistakes(net, tmp_path):
    with pytest.raises(SettingsError, match=r"\.onnx"):
        kseg.export.onnx(net, tmp_path / "n.tflite")
    with pytest.raises(SettingsError, match="opset"):
        kseg.export.onnx(net, tmp_path / "n.onnx", opset=30)
    (tmp_path / "bad.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match="ONNX"):
        kseg.export.load(tmp_path / "bad.onnx")


def test_what_a_conversion_drops_is_freed_while_it_runs():
    class Node:
        def __init__(self):
            self.graph = self

    converter = importlib.import_module("kseg.export.conversion.onnx")
    gc.disable()  # Python's own collector does not come in between
    try:
        with converter._collecting_garbage(every=0.01):
            dropped = weakref.ref(Node())
            until = time.monotonic() + 20
            while dropped() is not None and time.monotonic() < until:
                time.sleep(0.01)
            assert dropped() is None
    finally:
        gc.enable()
