"""KerasHub's DeepLabV3+, against KerasHub."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import import_weights
from tests.weights.layouts.conftest import EXTRA, assert_same_logits, image_of

_HUB = """
import sys
import keras_hub, numpy as np
folder, depth = sys.argv[1], int(sys.argv[2])
blocks = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3]}[depth]
encoder = keras_hub.models.ResNetBackbone([64], [7], [64, 128, 256, 512], blocks, [1, 2, 2, 2], "bottleneck_block")
backbone = keras_hub.models.DeepLabV3Backbone(encoder, "P5", 8, [6, 12, 18], low_level_feature_key="P2")
model = keras_hub.models.DeepLabV3ImageSegmenter(backbone, 21)
rng = np.random.default_rng(0)
for variable in model.variables:
    if variable.name == "kernel":
        value = rng.normal(0, (1.6 / np.prod(variable.shape[:-1])) ** 0.5, variable.shape)
    elif variable.name in ("gamma", "moving_variance"):
        value = rng.uniform(0.5, 1.2, variable.shape)
    else:
        value = rng.normal(0, 0.2, variable.shape)
    if "seed" not in variable.path:
        variable.assign(value)
model.save(folder + "/net.keras")
model.save_weights(folder + "/net.weights.h5")
model.save_to_preset(folder + "/preset")
np.save(folder + "/logits.npy", model(np.load(folder + "/data.npy"), training=False))
"""


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("depth", "file"), [(50, "net.keras"), (50, "net.weights.h5"), (101, "preset")])
def test_against_keras_hub(depth, file, folder):
    """On sides that it takes: multiples of 32; images in 0..1."""
    image = image_of(96, 160)
    np.save(folder / "data.npy", image[None].astype("f4") / 255)
    done = subprocess.run(
        [sys.executable, "-c", _HUB, str(folder), str(depth)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(EXTRA)},
        capture_output=True,
        text=True,
    )
    if "No module named 'keras_hub'" in done.stderr or "failed to import due to a dependency" in done.stderr:
        pytest.skip("needs keras_hub: pip install --no-deps --target FOLDER, KSEG_PARITY_PACKAGES=FOLDER")
    assert done.returncode == 0, done.stderr[-2000:]
    found = import_weights(folder / file)
    assert found.source == "kerashub/deeplabv3plus"
    assert all("seed" in key or key.startswith("optimizer") for key in found.unused)
    assert_same_logits(found.model, image, np.load(folder / "logits.npy")[0])
    if file == "preset":
        with pytest.raises(ModelError, match="without its scores"):
            import_weights(folder / "preset" / "model.weights.h5")


def narrow_layers():
    """KerasHub's layers on a ResNet-50 a few channels wide: name -> arrays, told from its source."""
    rng, found = np.random.default_rng(0), {}

    def unit(conv, bn, inputs, outputs, side=1):
        found[conv] = [rng.normal(size=(side, side, inputs, outputs))]
        found[bn] = list(rng.uniform(0.5, 1.5, (4, outputs)))

    unit("conv1_conv", "conv1_bn", 3, 4, 7)
    inputs = 4
    for stack, count in enumerate((3, 4, 6, 3)):
        width = 4 * 2**stack
        for block in range(count):
            name = f"stack{stack}_block{block}_"
            if block == 0:
                unit(f"{name}0_conv", f"{name}0_bn", inputs, 4 * width)
            for number, sizes in enumerate(((inputs, width), (width, width, 3), (width, 4 * width)), start=1):
                unit(f"{name}{number}_conv", f"{name}{number}_bn", *sizes)
            inputs = 4 * width
    for number, side in enumerate((1, 3, 3, 3), start=1):
        unit(f"aspp_conv_{number}", f"aspp_bn_{number}", inputs, 6, side)
    unit("conv_pooling", "bn_pooling", inputs, 6)
    unit("conv_projection", "bn_projection", 30, 6)
    unit("decoder_conv", "decoder_norm", 16, 3)
    unit("segmentation_head_conv", "segmentation_head_norm", 9, 6)
    return found | {"segmentation_output": [rng.normal(size=(1, 1, 6, 5))]}


def as_preset(layers, folder):
    """The layers in the two files of a preset, each under a number as Keras 3 writes them."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({}))
    parts = {
        "task": ["segmentation_output"],
        "model": [name for name in layers if name != "segmentation_output"],
    }
    for part, names in parts.items():
        with h5py.File(folder / f"{part}.weights.h5", "w") as file:
            for number, name in enumerate(names):
                group = file.create_group(f"layers/layer_{number}/vars")
                group.attrs["name"] = name
                for place, array in enumerate(layers[name]):
                    group[str(place)] = array.astype("f4")
    return folder


def test_every_array_of_a_preset_finds_its_layer(folder):
    layers = narrow_layers()
    found = import_weights(as_preset(layers, folder / "preset"))
    assert (found.source, found.model.num_classes, found.unused) == ("kerashub/deeplabv3plus", 5, ())
    pairs = {
        "conv4_block6_2_conv": "stack2_block5_2_conv",
        "aspp_18_conv": "aspp_conv_4",
        "score": "segmentation_output",
    }
    for mine, theirs in pairs.items():
        kernel = found.model.get_layer(mine).kernel
        np.testing.assert_array_equal(kernel, layers[theirs][0].astype("f4"))
    bn = found.model.get_layer("conv2_block1_0_bn")
    for variable, value in zip(bn.weights, layers["stack0_block0_0_bn"], strict=True):
        np.testing.assert_array_equal(variable, value.astype("f4"))
    assert not np.asarray(found.model.get_layer("score").bias).any()


def test_a_preset_with_a_layer_twice_and_one_without_scores_are_refused(folder):
    layers = narrow_layers()
    preset = as_preset(layers, folder / "preset")
    with h5py.File(preset / "task.weights.h5", "a") as file:
        file["layers/layer_0/vars"].attrs["name"] = "conv1_conv"
    with pytest.raises(ModelError, match="both have conv1_conv/0"):
        import_weights(preset)
    (preset / "task.weights.h5").unlink()
    with pytest.raises(ModelError, match="without its scores"):
        import_weights(preset)
