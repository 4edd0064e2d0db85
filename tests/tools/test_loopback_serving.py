"""The official gRPC stubs, REST, saved_model_cli and warm-up records against an exported model on loopback."""

import base64
import http.client
import json
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
import tensorflow as tf

from kseg.export.serving.saved_model import served_name


@pytest.fixture
def loopback(tools_on_path):
    import loopback_serving

    return loopback_serving


@pytest.fixture
def models(loopback, served):
    return loopback.Models(served.base)


@pytest.fixture
def stub(loopback, models):
    """The official stub, connected to the exported model."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    server, port = loopback.grpc_server(models)
    with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)]) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
    server.stop(None)


def request(signature, model="small", version=None, outputs=(), **inputs):
    from tensorflow_serving.apis import predict_pb2

    made = predict_pb2.PredictRequest(output_filter=outputs)
    made.model_spec.name, made.model_spec.signature_name = model, signature
    if version is not None:
        made.model_spec.version.value = version
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


def test_official_stubs_get_the_masks_of_keras(served, stub):
    expected = np.asarray(served.network(served.images.astype("float32"))).argmax(-1)
    answer = stub.Predict(request("serving_default", images=served.images), timeout=60)
    assert set(answer.outputs) == {"mask", "confidence"}
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["mask"]), expected)
    answer = stub.Predict(
        request("encoded", version=1, outputs=["mask_bytes"], image_bytes=served.files), timeout=60
    )
    assert set(answer.outputs) == {"mask_bytes"}
    for data, mask in zip(answer.outputs["mask_bytes"].string_val, expected, strict=True):
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(found, mask)


@pytest.mark.full
def test_bad_requests_have_the_codes_of_a_server(served, stub):
    import grpc

    bad = {
        "signature": (request("decode", images=served.images), "INVALID_ARGUMENT"),
        "input": (request("encoded", images=served.files), "INVALID_ARGUMENT"),
        "dtype": (request("serving_default", images=served.images.astype("float32")), "INVALID_ARGUMENT"),
        "double": (request("serving_default", images=served.images.astype("float64")), "INVALID_ARGUMENT"),
        "channels": (request("serving_default", images=served.images[..., :2]), "INVALID_ARGUMENT"),
        "empty": (request("serving_default", images=served.images[:0]), "INVALID_ARGUMENT"),
        "text": (request("encoded", image_bytes=[b"Dear Sir"]), "INVALID_ARGUMENT"),
        "65 MB": (request("encoded", image_bytes=[served.files[0] + bytes(65_000_000)]), "INVALID_ARGUMENT"),
        "output": (request("encoded", outputs=["masks"], image_bytes=served.files), "INVALID_ARGUMENT"),
        "model": (request("encoded", model="other", image_bytes=served.files), "NOT_FOUND"),
        "version": (request("encoded", version=2, image_bytes=served.files), "NOT_FOUND"),
    }
    for name, (one, code) in bad.items():
        with pytest.raises(grpc.RpcError) as caught:
            stub.Predict(one, timeout=60)
        assert (name, caught.value.code().name) == (name, code)
        assert len(caught.value.details()) > 10
    stub.Predict(request("encoded", image_bytes=served.files), timeout=60)  # it still answers


def test_warm_up_records_are_prediction_logs_that_the_model_answers(served, stub):
    from tensorflow_serving.apis import prediction_log_pb2

    path = served.base / "1" / "assets.extra" / "tf_serving_warmup_requests"
    logs = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    assert [log.WhichOneof("log_type") for log in logs] == ["predict_log", "predict_log"]
    signatures = [log.predict_log.request.model_spec.signature_name for log in logs]
    assert signatures == ["serving_default", "encoded"]
    for log in logs:
        mask = tf.make_ndarray(stub.Predict(log.predict_log.request, timeout=60).outputs["mask"])
        assert mask.shape == (1, 30, 42)


@pytest.mark.full
def test_clients_at_the_same_time_get_their_own_masks(served, stub):
    expected = np.asarray(served.network(served.images.astype("float32"))).argmax(-1)
    wrong = []

    def work(first):
        for number in range(first, first + 6):
            one = number % 3
            answer = stub.Predict(request("encoded", image_bytes=[served.files[one]]), timeout=60)
            if not np.array_equal(tf.make_ndarray(answer.outputs["mask"])[0], expected[one]):
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_rest(served, loopback, models):
    server, port = loopback.rest_server(models)
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def post(path, body):
        connection.request("POST", path, json.dumps(body) if isinstance(body, dict) else body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    rows = [{"image_bytes": {"b64": base64.b64encode(data).decode()}} for data in served.files]
    status, found = post("/v1/models/small:predict", {"signature_name": "encoded", "instances": rows})
    assert status == 200
    expected = np.asarray(served.network(served.images.astype("float32"))).argmax(-1)
    np.testing.assert_array_equal([row["mask"] for row in found["predictions"]], expected)
    png = base64.b64decode(found["predictions"][1]["mask_bytes"]["b64"])
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), -1), expected[1])
    plain = {"instances": [{"images": served.images[0].tolist()}]}
    status, found = post("/v1/models/small/versions/1:predict", plain)
    np.testing.assert_array_equal(found["predictions"][0]["mask"], expected[0])
    assert post("/v1/models/other:predict", plain)[0] == 404
    assert post("/v1/models/small/versions/2:predict", plain)[0] == 404
    assert post("/elsewhere", plain)[0] == 404
    fractions = {"instances": [{"images": (served.images[0] / 2 + 0.25).tolist()}]}
    negative = {"instances": [{"images": (served.images[0].astype(int) - 300).tolist()}]}
    unknown = {**plain, "signature_name": "decode"}
    short = {"instances": [{"images": [[1, 2]]}]}
    for bad in (b"{", {"instances": []}, short, {"rows": []}, fractions, negative, unknown):
        status, found = post("/v1/models/small:predict", bad)
        assert status == 400
        assert found["error"]
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_saved_model_cli_runs_it(served, tmp_path):
    np.save(tmp_path / "images.npy", served.images)
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run", "--tag_set", "serve"]
    command += ["--dir", str(served.base / "1"), "--signature_def", "serving_default"]
    command += ["--inputs", f"images={tmp_path / 'images.npy'}", "--outdir", str(tmp_path)]
    subprocess.run(command, check=True)
    expected = np.asarray(served.network(served.images.astype("float32"))).argmax(-1)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)


def test_settings_are_those_of_the_official_messages(served):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    text = (served.base / "models.config").read_text()
    (one,) = text_format.Parse(text, config.ModelServerConfig()).model_config_list.config
    assert (one.name, one.base_path, one.model_platform) == ("small", "/models/small", "tensorflow")
    compose = (served.base / "compose.yaml").read_text()
    assert ".:/models/small:ro" in compose
    for name in ("models.config", "batching.config", "monitoring.config"):
        assert f"=/models/small/{name}" in compose
        assert (served.base / name).is_file()


def test_a_folder_without_versions(loopback, tmp_path):
    (tmp_path / ".kseg-host-7-0.part").mkdir()
    (tmp_path / "1b").mkdir()
    with pytest.raises(SystemExit, match="no version"):
        loopback.Models(tmp_path)


def test_the_name_is_that_of_models_config(served, loopback, tmp_path):
    base = tmp_path / "my model v1.0"
    base.mkdir()
    (base / "1").symlink_to(served.base / "1")
    assert loopback.Models(base).name == served_name(base) == "my_model_v1_0"


def test_mistakes_are_told(served, loopback, models, tmp_path):
    server, port = loopback.rest_server(models)
    (tmp_path / "bad" / "1").mkdir(parents=True)
    for arguments, said in (
        ([str(served.base), "--rest", str(port)], f"port {port} cannot be served"),
        ([str(tmp_path / "gone"), "--rest", "0"], "no such folder"),
        ([str(tmp_path / "bad"), "--rest", "0"], "bad/1: "),
    ):
        with pytest.raises(SystemExit, match=said):
            loopback.main(arguments)
    server.shutdown()
    server.server_close()
