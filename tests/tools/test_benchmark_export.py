import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(tools_on_path):
    import benchmark_export

    return benchmark_export


def test_memory_is_what_the_process_holds():
    program = (
        f"import os, sys; sys.path.insert(0, {str(TOOLS)!r}); from benchmark_export import allocated_mebibytes as held;"
        "before = held(os.getpid()); block = bytearray(b'x') * (64 * 2**20); print(held(os.getpid()) - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 60 < float(done.stdout) < 80


def test_memory_is_watched(tool):
    with tool.memory_of(os.getpid(), pause=0.001) as samples:
        until = time.monotonic() + 10
        while len(samples) < 3 and time.monotonic() < until:
            time.sleep(0.001)
    assert len(samples) >= 3
    assert min(samples) > 10


def test_answers_are_compared_one_by_one(tool):
    class Client:
        def mask(self, data):
            return np.zeros((2, 2), np.uint8)

    masks = np.zeros((2, 2, 2), np.uint8)
    masks[1, 0, 0] = 1
    wrong = []
    one = tool.Comparing(Client(), [b"a", b"b"], masks, wrong)
    for data in (b"a", b"b", b"b"):
        one.mask(data)
    assert wrong == [b"b", b"b"]


def test_the_fast_networks_are_those_of_the_catalog(tool):
    found = tool.fast_models()
    assert {"fcn8s_efficientnetlite0", "lraspp_efficientnetlite0"} <= set(found) <= set(kseg.models.names())
    assert not [name for name in found if "vgg" in name or "resnet" in name]


@pytest.mark.slow
def test_files_are_made_once_and_measured(tool, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnxruntime")
    image = keras.Input((None, None, 3), name="image")
    network = keras.Model(image, keras.layers.Conv2D(11, 3, padding="same")(image))
    monkeypatch.setattr(kseg.models, "build", lambda name, classes: network)
    assert tool.main(["one", "--files", str(tmp_path), "--size", "16", "24", "--rounds", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  one")]
    assert [len(row) for row in rows] == [7, 8]  # "(processor)" is a word more
    assert all(float(number) > 0 for number in rows[0][1:])
    kinds = ("float32.tflite", "float16.tflite", "int8.tflite", "onnx")
    assert {path.name for path in tmp_path.iterdir()} == {f"one_16x24.{kind}" for kind in kinds}
    monkeypatch.setattr(kseg.export, "tflite", None)  # would be called to make another
    assert set(tool.runs_of("one", (16, 24), tmp_path)) == {"Keras", "float32", "float16", "int8", "onnx"}


@pytest.mark.slow
def test_a_server_under_load(tool, served):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    masks = np.asarray(served.network(served.images.astype("float32"))).argmax(-1)
    found = tool.under_load(served.base, served.files, masks, 4, 10)
    assert (found["requests"], found["answered"], found["wrong"]) == (40, 40, 0)
    assert min(found["memory"]) > 50
    wrong = np.zeros_like(masks) + 9
    assert tool.under_load(served.base, served.files, wrong, 1, 3)["wrong"] == 3
