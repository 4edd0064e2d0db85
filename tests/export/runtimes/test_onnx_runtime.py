import numpy as np
import pytest

import kseg
from kseg.errors import ModelError

pytestmark = pytest.mark.parity


def test_onnx_refuses_other_shapes(net, tmp_path):
    kseg.export.onnx(net, tmp_path / "x.onnx", size=(8, 9))
    with pytest.raises(ModelError, match=r"takes images \(any, 8, 9, 3\)"):
        kseg.export.load(tmp_path / "x.onnx")(np.zeros((1, 9, 9, 3)))


def test_frames_are_the_rows_of_a_batch(net, pictures, tmp_path):
    kseg.export.onnx(net, tmp_path / "x.onnx", size=(24, 36))
    found = kseg.export.load(tmp_path / "x.onnx", 1)
    frames = found.frames()
    assert (frames.size, frames.output, frames.names) == (
        (24, 36),
        "logits",
        ["class 0", "class 1", "class 2"],
    )
    for image, expected in zip(pictures, found(np.stack(pictures)), strict=True):
        np.testing.assert_allclose(frames(image), expected, atol=1e-5)
