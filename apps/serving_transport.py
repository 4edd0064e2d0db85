"""Asking a model server for a mask, over REST or gRPC: the part of serving_client.py that other programs can use.

``RestClient`` and ``GrpcClient`` are called alike: ``client.mask(data)`` sends a JPEG or PNG file's bytes to the
signature ``encoded`` of a model that kseg exported, and gives the mask. ``ask`` tries again where no answer came.
"""

import base64
import http.client
import importlib
import json
import re
import time
import urllib.parse

import cv2
import numpy as np

SIGNATURE = "encoded"


class ServingError(Exception):
    """What went wrong between client and server, in a sentence."""


class Refused(ServingError):
    """The server took the request and refuses this image."""


class Unavailable(ServingError):
    """No answer in time, or none at all; worth another try."""


class RestClient:
    """Asks over REST, with one connection that stays open. Not to be shared between threads.

    Args:
        server: such as "http://localhost:8501".
        model, version: its name, and its number or None for the latest.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, server: str, model: str, version: int | None = None, timeout: float = 10.0):
        try:
            parts = urllib.parse.urlsplit(server if "//" in server else f"http://{server}")
            kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[parts.scheme]
            host = parts.hostname or ""
            if not host.encode("idna") or " " in host:
                raise ValueError("no host")
            self._connection = kind(host, parts.port, timeout=timeout)
        except (KeyError, ValueError) as error:
            raise ServingError(f"{server}: expected an address such as http://localhost:8501") from error
        self.server, self.model, self.timeout = server, model, timeout
        numbered = "" if version is None else f"/versions/{version}"
        self._path = f"{parts.path.rstrip('/')}/v1/models/{urllib.parse.quote(model)}{numbered}:predict"

    def mask(self, data: bytes) -> np.ndarray:
        """The mask uint8 (H, W), in the server's size, of a JPEG or PNG file's bytes."""
        instance = {"image_bytes": {"b64": base64.b64encode(data).decode()}}
        body = json.dumps({"signature_name": SIGNATURE, "instances": [instance]})
        until = time.monotonic() + self.timeout
        try:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            status, text = answer.status, _body(answer, until)
        except TimeoutError as error:
            self._connection.close()
            raise Unavailable(f"{self.server} has not answered within {self.timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unavailable(_nobody(self.server, error)) from error
        if status != 200:
            raise self._refusal(status, text)
        return mask_of_json(text)

    def _refusal(self, status: int, text: bytes) -> ServingError:
        try:
            said = str(json.loads(text)["error"])
        except (ValueError, KeyError, TypeError):
            said = text[:200].decode(errors="replace")
        return refusal(
            self.server, self.model, {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}.get(status, status), said
        )

    def close(self) -> None:
        self._connection.close()


def _body(answer: http.client.HTTPResponse, until: float) -> bytes:
    """What a server answers; TimeoutError where it comes in drops and is not complete by then."""
    parts = []
    while part := answer.read1(2**20):
        parts.append(part)
        if time.monotonic() > until:
            raise TimeoutError
    if answer.length:
        raise http.client.IncompleteRead(b"".join(parts), answer.length)
    answer.close()  # `read1` leaves it open, and then the connection takes no further request
    return b"".join(parts)


class GrpcClient:
    """Asks over gRPC with the official stubs; otherwise like ``RestClient``. ``server`` is "host:port"."""

    def __init__(self, server: str, model: str, version: int | None = None, timeout: float = 10.0):
        try:
            self._grpc = importlib.import_module("grpc")
            self._messages = importlib.import_module("tensorflow_serving.apis.predict_pb2")
            service = importlib.import_module("tensorflow_serving.apis.prediction_service_pb2_grpc")
        except ImportError as error:
            raise ServingError(
                f"gRPC needs {error.name}, which is not installed: pip install tensorflow-serving-api, or "
                "use REST"
            ) from error
        unlimited = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        self._channel = self._grpc.insecure_channel(server, options=unlimited)
        self._predict = service.PredictionServiceStub(self._channel).Predict
        self.server, self.model, self.version, self.timeout = server, model, version, timeout

    def mask(self, data: bytes) -> np.ndarray:
        request = self._messages.PredictRequest(output_filter=["mask_bytes"])
        request.model_spec.name, request.model_spec.signature_name = self.model, SIGNATURE
        if self.version is not None:
            request.model_spec.version.value = self.version
        tensor = request.inputs["image_bytes"]
        tensor.dtype = 7  # DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(data)
        try:
            answer = self._predict(request, timeout=self.timeout)
        except self._grpc.RpcError as error:
            raise self._refusal(error) from error
        found = answer.outputs["mask_bytes"].string_val if "mask_bytes" in answer.outputs else ()
        if len(found) != 1:
            raise ServingError(
                _malformed(f"one mask_bytes was expected, outputs are {sorted(answer.outputs)}")
            )
        return mask_of_png(found[0])

    def _refusal(self, error: Exception) -> ServingError:
        code, said = error.code().name, error.details() or ""
        if code == "DEADLINE_EXCEEDED":
            return Unavailable(f"{self.server} has not answered within {self.timeout:g} s")
        if code == "UNAVAILABLE":
            return Unavailable(_nobody(self.server, said))
        return refusal(self.server, self.model, code, said)

    def close(self) -> None:
        self._channel.close()


def refusal(server: str, model: str, code: str | int, said: str) -> ServingError:
    """The error for a status that a server answers."""
    said = plain(said)
    if code == "INVALID_ARGUMENT" and re.search("signature.* not found|no signature", said, re.IGNORECASE):
        return ServingError(
            f"the model {model!r} has no signature {SIGNATURE!r}; was it exported by kseg? ({said})"
        )
    if code == "INVALID_ARGUMENT":
        return Refused(f"the server refuses the image: {said}")
    if code == "NOT_FOUND":
        return ServingError(
            f"{server} knows no model {model!r} ({said}); it is served under the exported folder's name, see "
            "models.config there"
        )
    kind = Unavailable if code in (429, 502, 503, 504, "RESOURCE_EXHAUSTED") else ServingError
    return kind(f"{server} answers {code}: {said}")


def plain(said: str) -> str:
    """A server's sentence without the names of TensorFlow's nodes that it came through."""
    said = re.sub(r"\[\[\{\{.*?\}\}\]\]", "", " ".join(said.split()), flags=re.DOTALL)
    if said.startswith("assertion failed: "):
        said = " ".join(re.findall(r"\[([^\]]*)\]", said)) or said
    return said.strip()[:300]


def _nobody(server: str, reason: object) -> str:
    return f"no server answers at {server} ({reason}); is it running, and is the port right?"


def _malformed(what: str) -> str:
    return f"the answer is malformed: {what}; is this a model that kseg exported?"


def mask_of_json(text: bytes) -> np.ndarray:
    """The mask in a REST answer: from `mask_bytes`, else from the numbers of `mask`."""
    try:
        (found,) = json.loads(text)["predictions"]
        if "mask_bytes" in found:
            return mask_of_png(base64.b64decode(found["mask_bytes"]["b64"], validate=True))
        mask = np.array(found["mask"])
    except ServingError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ServingError(_malformed(f"{type(error).__name__} {error} in {text[:80]!r}")) from error
    if mask.ndim != 2 or mask.dtype.kind != "i" or mask.min(initial=0) < 0 or mask.max(initial=0) > 255:
        raise ServingError(_malformed(f"a mask of {mask.dtype} {mask.shape}"))
    return mask.astype(np.uint8)


def mask_of_png(data: bytes) -> np.ndarray:
    array = np.frombuffer(data, np.uint8)
    try:
        mask = cv2.imdecode(array, cv2.IMREAD_UNCHANGED) if len(array) else None
    except cv2.error:  # more pixels than OpenCV takes
        mask = None
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise ServingError(_malformed(f"mask_bytes is no PNG of class ids ({len(data)} bytes)"))
    return mask


def ask(client: RestClient | GrpcClient, data: bytes, retries: int, pause: float = 0.2) -> np.ndarray:
    """The mask of an image; another try, after a growing pause, where no answer came."""
    for left in range(retries, -1, -1):
        try:
            return client.mask(data)
        except Unavailable:
            if left == 0:
                raise
            time.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")
