import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from kseg.errors import KsegWarning
from kseg.export.serving.files import (
    prediction_log,
    tell_broken_versions,
    warm_up_requests,
    write_extra,
    write_settings,
)
from kseg.inference import ModelInfo


def message_of_the_protos():
    """PredictionLog rebuilt from the published .proto files, as far as a request goes."""
    file = descriptor_pb2.FileDescriptorProto(name="kseg_test.proto", package="kseg_test", syntax="proto3")
    file.dependency.append("tensorflow/core/framework/tensor.proto")

    def message(name, *fields, parent=file):
        made = (parent.message_type if parent is file else parent.nested_type).add(name=name)
        for number, field, kind, label in fields:
            known = {"string": {"type": 9}}.get(kind, {"type": 11, "type_name": kind})
            made.field.add(name=field, number=number, label=label, **known)
        return made

    one, many = 1, 3
    message("ModelSpec", (1, "name", "string", one), (3, "signature_name", "string", one))
    request = message(
        "PredictRequest",
        (1, "model_spec", ".kseg_test.ModelSpec", one),
        (2, "inputs", ".kseg_test.PredictRequest.InputsEntry", many),
    )
    entry = (1, "key", "string", one), (2, "value", ".tensorflow.TensorProto", one)
    message("InputsEntry", *entry, parent=request).options.map_entry = True
    message("PredictLog", (1, "request", ".kseg_test.PredictRequest", one))
    message("PredictionLog", (6, "predict_log", ".kseg_test.PredictLog", one))
    tf.make_tensor_proto(0)  # its file is then in the pool
    pool = descriptor_pool.Default()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("kseg_test.PredictionLog"))


@pytest.fixture(scope="module")
def log_class():
    return message_of_the_protos()


def test_a_log_parses(log_class):
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3)
    request = log_class.FromString(prediction_log("streets", "serving_default", {"images": image}))
    request = request.predict_log.request
    assert (request.model_spec.name, request.model_spec.signature_name) == ("streets", "serving_default")
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["images"]), image)


def test_warm_up_file(log_class, tmp_path):
    info = ModelInfo("m", None, (200, 300), 3, "logits", 2, 2)
    requests = list(warm_up_requests("m", (200, 300), "uint8", info, ["serving_default", "encoded"]))
    write_extra(tmp_path, {"classes": ["a", "b"]}, requests)
    extra = tmp_path / "assets.extra"
    records = tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests"))
    first, second = (log_class.FromString(r.numpy()).predict_log.request for r in records)
    assert tf.make_ndarray(first.inputs["images"]).shape == (1, 200, 300, 3)
    assert tf.make_ndarray(first.inputs["images"]).dtype == np.uint8
    assert second.model_spec.signature_name == "encoded"
    (data,) = tf.make_ndarray(second.inputs["image_bytes"])
    assert tf.io.decode_png(data).shape == (200, 300, 3)
    assert (extra / "labels.txt").read_text() == "a\nb\n"
    assert json.loads((extra / "kseg.json").read_text()) == {"classes": ["a", "b"]}


@pytest.mark.parametrize("left", [0, 1, 30, "zeros", "blank"])
def test_settings_that_a_full_disk_cut_off_are_written_again(tmp_path, left):
    write_settings(tmp_path, "streets")
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name, data in whole.items():
        cut = {"zeros": data[:20] + bytes(50), "blank": b" \n"}.get(left) or data[: left or 0]
        (tmp_path / name).write_bytes(b"" if left == 0 else cut)
    write_settings(tmp_path, "streets")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


def test_versions_that_no_server_can_load_are_told(tmp_path):
    for version in ("1", "2", "3"):
        (tmp_path / version / "variables").mkdir(parents=True)
        for name in ("saved_model.pb", "variables/variables.index"):
            (tmp_path / version / name).write_text("x")
    (tmp_path / "1" / "saved_model.pb").write_text("")
    (tmp_path / "3" / "variables" / "variables.index").unlink()
    with pytest.warns(KsegWarning) as told:
        tell_broken_versions(tmp_path)
    assert [str(one.message).split(" is not whole")[0][-1] for one in told] == ["1", "3"]


def test_settings_are_written_once(tmp_path):
    (tmp_path / "batching.config").write_text("mine")
    write_settings(tmp_path, "streets")
    names = {"models.config", "batching.config", "monitoring.config", "compose.yaml"}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert (tmp_path / "batching.config").read_text() == "mine"
    assert 'base_path: "/models/streets"' in (tmp_path / "models.config").read_text()
    assert "tensorflow/serving:2.20.0" in (tmp_path / "compose.yaml").read_text()
