"""A model server on loopback whose model is three lines of NumPy, and ways in which it can go wrong."""

import importlib
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def answer_to(image: np.ndarray) -> np.ndarray:
    """The fake model: 2 where red, 1 where bright, else 0, on an image half as wide and high."""
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(int)
    red = small[..., 0] - small[..., 1] > 60
    return np.where(red, 2, small.mean(-1) > 120).astype(np.uint8)


class FakeModels:
    """Answers like `loopback_serving.Models`; ``fail`` holds errors to raise first, ``pause`` waits."""

    name, version = "streets", 1

    def __init__(self, refused):
        self.refused, self.fail, self.pause, self.asked = refused, [], 0.0, 0
        self.outputs = ("mask", "mask_bytes")

    def predict(self, name, version, signature, inputs):
        self.asked += 1
        time.sleep(self.pause)
        if self.fail:
            raise self.fail.pop(0)
        if name != self.name or version not in (None, self.version):
            raise self.refused(5, f"Servable not found for request: Latest({name})")
        if signature != "encoded":
            raise self.refused(3, f'Serving signature key "{signature}" not found.')
        (data,) = inputs["image_bytes"]
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise self.refused(3, "image_bytes: not a JPEG or PNG file")
        mask = answer_to(image[..., ::-1])
        found = {"mask": mask[None], "mask_bytes": [cv2.imencode(".png", mask)[1].tobytes()]}
        return {name: found[name] for name in self.outputs}


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """apps and tools are imported as they are when run as programs."""
    for folder in ("apps", "tools"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    yield
    for name in ("serving_client", "serving_transport", "loopback_serving", "serving_c_api"):
        sys.modules.pop(name, None)


@pytest.fixture
def loopback(programs):
    return importlib.import_module("loopback_serving")


@pytest.fixture
def models(loopback):
    return FakeModels(loopback.Refused)


@pytest.fixture
def rest(loopback, models):
    """The address of a REST server."""
    server, port = loopback.rest_server(models)
    yield f"http://127.0.0.1:{port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def grpc_address(loopback, models):
    pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    server, port = loopback.grpc_server(models)
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture
def image() -> np.ndarray:
    """Dark, bright and red thirds, 24x36."""
    image = np.zeros((24, 36, 3), np.uint8)
    image[:, 12:24], image[:, 24:, 0] = 200, 220
    return image


@pytest.fixture
def png(image) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()
