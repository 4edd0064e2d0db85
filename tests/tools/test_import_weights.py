"""The conversion of PyTorch's names and axes, against PyTorch's own layers."""

import importlib.util
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, EfficientNetLite
from kseg.backbones.weights import load
from kseg.training import initialise_from

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
    out = tool.convert(state)
    assert sorted(out) == [
        "block3a_dwconv/kernel",
        "predictions/bias",
        "predictions/kernel",
        "stem_bn/moving_variance",
        "stem_conv/kernel",
    ]
    assert {array.dtype.name for array in out.values()} == {"float32"}
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
    tool.write(tmp_path / "w.npz", tool.convert({"_conv_stem.weight": kernel}))
    load(model, tmp_path / "w.npz")
    np.testing.assert_array_equal(model.layers[-1].kernel, kernel.transpose(2, 3, 1, 0))
    assert [file.name for file in tmp_path.iterdir()] == ["w.npz"]


def test_another_file_is_refused_and_nothing_is_written(tmp_path, capsys):
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


def hed_file(path, widths=(2, 3, 4, 5, 5), leave_out=()):
    """A file in HED's layout with narrow blocks; kernels and biases are filled with their layer's number."""
    channels, number = 3, 0
    with h5py.File(path, "w") as file:
        for block, (count, width) in enumerate(zip((2, 2, 3, 3, 3), widths, strict=True), 1):
            for suffix in ("", "_1", "_2")[:count]:
                number += 1
                name = f"block{block}/layers/conv2d{suffix}"
                if name not in leave_out:
                    file[f"{name}/vars/0"] = np.full((3, 3, channels, width), number, np.float32)
                    file[f"{name}/vars/1"] = np.full(width, -number, np.float32)
                channels = width


def test_heds_convolutions_start_a_net_of_vggs_names(tmp_path, capsys):
    hed_file(tmp_path / "hed.weights.h5")
    out = tmp_path / "vgg16_hed.keras"
    assert tool.main(["vgg16-hed", str(tmp_path / "hed.weights.h5"), "--out", str(out)]) == 0
    assert "13 convolutions" in capsys.readouterr().out
    names = [layer.name for layer in VGG16(weights=None, filters=8).layers if "_conv" in layer.name]
    first = keras.layers.Conv2D(2, 3, name="block1_conv1")
    last = keras.layers.Conv2D(5, 3, name="block5_conv3")
    new = keras.layers.Conv2D(7, 1, name="score")
    model = keras.Sequential(
        [keras.Input((9, 9, 3)), first, keras.layers.Conv2D(5, 1, name="other"), last, new]
    )
    done = initialise_from(model, out)
    assert done.copied == ("block1_conv1", "block5_conv3")
    assert sorted((*done.copied, *done.unused)) == sorted(names)
    for layer, number in ((first, 1), (last, 13)):
        np.testing.assert_array_equal(layer.kernel, np.full(layer.kernel.shape, number))
        np.testing.assert_array_equal(layer.bias, np.full(layer.bias.shape, -number))


def test_a_file_without_one_of_heds_layers_is_refused(tmp_path, capsys):
    hed_file(tmp_path / "hed.weights.h5", leave_out=("block4/layers/conv2d_1",))
    command = ["vgg16-hed", str(tmp_path / "hed.weights.h5"), "--out", str(tmp_path / "out.keras")]
    assert tool.main(command) == 2
    assert "other layers than vgg16-hed" in capsys.readouterr().err
    (tmp_path / "hed.weights.h5").write_text("nothing")
    assert tool.main(command) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["hed.weights.h5"]
