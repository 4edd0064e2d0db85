from collections import Counter

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError
from kseg.export.runtimes.litert import tflite_operations


def test_tflite_batches_sizes_and_operations(net, pictures, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36))
    found = kseg.export.load(path)
    assert found.size == (24, 36)
    assert isinstance(found.operations, Counter)
    assert found.operations["DEPTHWISE_CONV_2D"] == found.operations["CONV_2D"] == 1
    batch = np.stack(pictures)
    np.testing.assert_allclose(found(batch), net(batch.astype("float32")), atol=1e-4)
    for wrong in (batch[:, :10], batch[..., :2], batch[0], batch[:0], batch.astype(str)):
        with pytest.raises(ModelError, match=r"takes images \(any, 24, 36, 3\)"):
            found(wrong)


def test_int8_logits_are_given_in_the_logits_scale(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(24, 36), precision="int8", calibration=dataset)
    image, _ = dataset.load(0)
    found = kseg.export.load(path)(image[None])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, net(image[None].astype("float32")), atol=0.5)


def test_files_that_are_no_models(tmp_path):
    for name in ("x.tflite", "x.onnx", "x.txt"):
        with pytest.raises(ModelError, match="no such"):
            kseg.export.load(tmp_path / name)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ModelError, match="expected"):
        kseg.export.load(tmp_path / "x.txt")
    (tmp_path / "x.tflite").write_bytes(b"not a flatbuffer")
    with pytest.raises(ModelError, match="not a TFLite file"):
        tflite_operations(tmp_path / "x.tflite")
    with pytest.raises(ModelError, match="cannot load"):
        kseg.export.load(tmp_path)


def test_damaged_tflite_files(net, tmp_path):
    path = tmp_path / "x.tflite"
    kseg.export.tflite(net, path, size=(8, 8))
    whole = path.read_bytes()
    behind = whole.index(b"PK\x03\x04")  # where the packed files begin
    for damaged in (whole[: behind // 2], b"\x10\0\0\0TFL3" + bytes(range(256)) * 2):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"damaged TFLite file|the file is damaged"):
            kseg.export.load(path)
    for place, what in (
        (whole.rindex(b"PK\x01\x02"), b"XXXX"),
        (whole.rindex(b"kseg.json", 0, -200) + 12, b"\xff\xff"),
    ):
        path.write_bytes(whole[:place] + what + whole[place + len(what) :])
        with pytest.raises(ModelError, match="packed with it is damaged"):
            kseg.export.load(path)
