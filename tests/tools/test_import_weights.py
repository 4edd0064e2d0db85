"""The conversion of PyTorch's names and axes, against PyTorch's own layers."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg.backbones import EfficientNetLite
from kseg.backbones.weights import load

_PATH = Path(__file__).parents[2] / "tools" / "import_weights.py"
_SPEC = importlib.util.spec_from_file_location("import_weights", _PATH)
tool = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tool)


def test_names_and_axes():
    """PyTorch keeps (out, in, h, w), a depthwise kernel (channels, 1, h, w) and a dense one (out, in)."""
    state = {
        "_conv_stem.weight": np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5),
        "_blocks.3._depthwise_conv.weight": np.arange(6 * 4 * 5.0).reshape(6, 1, 4, 5),
        "_fc.weight": np.arange(6.0).reshape(2, 3),
        "_fc.bias": np.arange(2.0),
        "_bn0.running_var": np.arange(2.0),
        "_bn0.num_batches_tracked": np.array(7),
    }
    out = tool.convert(state, "float16")
    assert sorted(out) == [
        "block3a_dwconv/kernel",
        "predictions/bias",
        "predictions/kernel",
        "stem_bn/moving_variance",
        "stem_conv/kernel",
    ]
    assert {array.dtype.name for array in out.values()} == {"float16"}
    assert out["stem_conv/kernel"][3, 4, 2, 1] == state["_conv_stem.weight"][1, 2, 3, 4]
    assert out["block3a_dwconv/kernel"][3, 4, 5, 0] == state["_blocks.3._depthwise_conv.weight"][5, 0, 3, 4]
    assert out["predictions/kernel"][2, 1] == state["_fc.weight"][1, 2]


def test_every_layer_of_the_network_has_a_source():
    modules = list(tool.OUTSIDE) + [
        f"_blocks.{block}.{inner}"
        for block in range(16)
        for inner in tool.INSIDE
        if block or inner not in ("_expand_conv", "_bn0")
    ]
    model = EfficientNetLite(weights=None, include_top=True)
    with_weights = [layer.name for layer in model.layers if layer.weights]
    assert sorted(map(tool.layer_name, modules)) == sorted(with_weights)


def test_what_was_written_can_be_loaded(tmp_path):
    stem = keras.layers.Conv2D(2, 3, use_bias=False, name="stem_conv")
    model = keras.Sequential([keras.Input((4, 4, 3)), stem])
    kernel = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype("float32")
    tool.write(tmp_path / "w.npz", tool.convert({"_conv_stem.weight": kernel}, "float32"))
    load(model, tmp_path / "w.npz")
    np.testing.assert_array_equal(model.layers[-1].kernel, kernel.transpose(2, 3, 1, 0))
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


def test_kernels_are_split_and_the_rest_is_whole():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype("float32")
    bias = np.array([1e-4, 3.0], "float32")
    out = tool.convert({"_conv_stem.weight": kernel, "_fc.bias": bias})
    assert {key: array.dtype.name for key, array in out.items()} == {
        "stem_conv/kernel": "float16",
        "stem_conv/kernel.fine": "int8",
        "predictions/bias": "float32",
    }
    np.testing.assert_array_equal(out["predictions/bias"], bias)


def test_another_file_is_refused_and_nothing_is_written(tmp_path, capsys):
    pytest.importorskip("torch")
    (tmp_path / "x.pth").write_bytes(b"no weights")
    assert tool.main(["efficientnet-lite0", str(tmp_path / "x.pth"), "--out", str(tmp_path / "w.npz")]) == 2
    assert "x.pth" in capsys.readouterr().err
    assert not (tmp_path / "w.npz").exists()


@pytest.mark.parity
def test_a_file_of_another_network_is_refused(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "vgg.pth")
    assert tool.main(["efficientnet-lite0", str(tmp_path / "vgg.pth"), "--out", str(tmp_path / "w.npz")]) == 2
    assert "features.0" in capsys.readouterr().err
