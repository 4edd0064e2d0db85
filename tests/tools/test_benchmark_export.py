import os
import time

import numpy as np
import pytest


@pytest.fixture
def tool(tools_on_path):
    import benchmark_export

    return benchmark_export


def test_functions_take_turns_and_the_first_round_does_not_count(tool):
    naps, order = iter([0.2, 0.01, 0.01, 0.01]), []

    def sleeps():
        order.append("sleeps")
        time.sleep(next(naps))

    found = tool.in_turns({"sleeps": sleeps, "counts": lambda: order.append("counts")}, 3)
    assert order == ["sleeps", "counts"] * 4
    wall, processor = found["sleeps"]
    assert 0.01 <= wall < 0.15
    assert processor < wall


def test_memory_is_what_the_process_holds(tool):
    before = tool.resident_mebibytes(os.getpid())
    block = np.ones(64 * 2**20, np.uint8)
    assert 60 < tool.resident_mebibytes(os.getpid()) - before < 70
    del block


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


@pytest.mark.slow
def test_a_server_under_load(tool, served):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    masks = np.asarray(served.net(served.images.astype("float32"))).argmax(-1)
    found = tool.under_load(served.base, served.files, masks, 4, 10)
    assert (found["requests"], found["answered"], found["wrong"]) == (40, 40, 0)
    assert min(found["memory"]) > 50
    wrong = np.zeros_like(masks) + 9
    assert tool.under_load(served.base, served.files, wrong, 1, 3)["wrong"] == 3
