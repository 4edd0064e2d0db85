"""Serve an exported SavedModel on this machine's loopback address: for tests, and for trying the client.

    python tools/loopback_serving.py served/streets --rest 8501 --grpc 8500

Not a server for others. The model runs in TensorFlow's C library, as in TensorFlow Serving
(tools/serving_c_api.py); gRPC speaks the official PredictionService (package tensorflow-serving-api), REST the
`:predict` call, and both answer with the status codes of the real one. The model's name is the folder's, its
version the highest. Ctrl-C ends it.
"""

import argparse
import base64
import json
import re
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from serving_c_api import Refused, SavedModel

INVALID, MISSING = 3, 5
HTTP_CODES = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503}


class Models:
    """The versions below a base folder, run by name; errors are ``Refused``.

    Args:
        base: the folder with the versions; its name is the model's, as models.config in it has it.
    """

    def __init__(self, base: Path):
        if not base.is_dir():
            raise SystemExit(f"{base}: no such folder")
        versions = [int(p.name) for p in base.iterdir() if p.is_dir() and re.fullmatch("[0-9]+", p.name)]
        if not versions:
            raise SystemExit(f"{base}: no version of a model there; expected a folder such as {base}/1")
        self.name = re.sub(
            r"[^A-Za-z0-9_-]+", "_", base.resolve().name
        )  # as kseg.export.saved_model writes it
        self.version = max(versions)
        try:
            self._model = SavedModel(base / str(self.version))
        except Refused as error:
            raise SystemExit(f"{base / str(self.version)}: {str(error).splitlines()[0]}") from error

    def predict(
        self, name: str, version: int | None, signature: str, inputs: dict[str, Any]
    ) -> dict[str, Any]:
        if name != self.name or version not in (None, self.version):
            wanted = "Latest" if version is None else f"Specific({version})"
            raise Refused(MISSING, f"Servable not found for request: {wanted}({name})")
        return self._model.run(signature or "serving_default", **inputs)


def grpc_server(models: Models, port: int = 0) -> tuple[Any, int]:
    """A started gRPC server and its port (0: any free one)."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        """Predict of the official service; its other calls answer UNIMPLEMENTED."""

        def Predict(self, request, context):
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            try:
                inputs = {name: _array(proto) for name, proto in request.inputs.items()}
                found = models.predict(spec.name, version, spec.signature_name, inputs)
                wanted = list(request.output_filter) or list(found)
                if unknown := set(wanted) - set(found):
                    raise Refused(INVALID, f"output tensor alias not found in signature: {sorted(unknown)}")
            except Refused as error:
                context.abort(getattr(grpc.StatusCode, error.code, grpc.StatusCode.INTERNAL), str(error))
            answer = predict_pb2.PredictResponse(model_spec=spec)
            for name in wanted:
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(found[name]))
            return answer

    def _array(proto):
        try:
            array = tf.make_ndarray(proto)
        except (TypeError, ValueError) as error:
            raise Refused(INVALID, f"tensor parsing error: {error}") from error
        if array.dtype != object:
            return array
        if array.ndim != 1:
            raise Refused(INVALID, f"strings of shape {array.shape}, expected (batch,)")
        return list(array)

    options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port


def rest_server(models: Models, port: int = 0) -> tuple[ThreadingHTTPServer, int]:
    """A started HTTP server and its port (0: any free one)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = rest_answer(models.predict, self.path, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server, server.server_address[1]


def rest_answer(predict: Callable[..., dict[str, Any]], path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status and JSON for a `:predict` call in the row format (tensorflow.org/tfx/serving/api_rest)."""
    found = re.fullmatch(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict", path)
    if found is None:
        return 404, {"error": f"Malformed request: POST {path}"}
    try:
        request = json.loads(body)
        rows = request["instances"]
        inputs = {name: _column([row[name] for row in rows]) for name in (rows[0] if rows else ())}
        version = None if found[2] is None else int(found[2])
        outputs = predict(found[1], version, request.get("signature_name", ""), inputs)
    except Refused as error:
        return HTTP_CODES.get(error.code, 500), {"error": str(error)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return 400, {"error": f"JSON Parse error: {error}"}
    count = len(next(iter(outputs.values())))
    return 200, {"predictions": [{k: _json(k, v[row]) for k, v in outputs.items()} for row in range(count)]}


def _column(values: list[Any]) -> np.ndarray | list[bytes]:
    if isinstance(values[0], dict):
        return [base64.b64decode(value["b64"], validate=True) for value in values]
    array = np.array(values)
    if array.dtype.kind == "f":
        return array.astype(np.float32)  # a signature of uint8 refuses it, as the real server does
    if array.dtype.kind != "i" or array.min(initial=0) < 0 or array.max(initial=0) > 255:
        raise ValueError(f"numbers 0-255 are expected, got {array.dtype} {array.shape}")
    return array.astype(np.uint8)


def _json(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode()
    return value.tolist()


def _started(server: Callable[[Models, int], tuple[Any, int]], models: Models, port: int) -> tuple[Any, int]:
    try:
        return server(models, port)
    except (OSError, OverflowError, RuntimeError) as error:  # gRPC's own is a RuntimeError
        raise SystemExit(f"port {port} cannot be served: {error}") from error


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", type=Path, help="the folder with the versions, such as served/streets")
    parser.add_argument("--rest", type=int, metavar="PORT", help="serve REST on this port")
    parser.add_argument("--grpc", type=int, metavar="PORT", help="serve gRPC on this port")
    args = parser.parse_args(argv)
    if args.rest is None and args.grpc is None:
        parser.error("give --rest PORT, --grpc PORT or both")
    if args.grpc is not None:
        import tensorflow  # noqa: F401 - ahead of its C library: in the other order the process crashes
    models = Models(args.base)
    started = []
    if args.grpc is not None:
        started.append(("gRPC", *_started(grpc_server, models, args.grpc)))
    if args.rest is not None:
        started.append(("REST", *_started(rest_server, models, args.rest)))
    for kind, _, port in started:
        print(f"{models.name} version {models.version}: {kind} on 127.0.0.1:{port}", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
