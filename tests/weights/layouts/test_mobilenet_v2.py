"""DeepLab v3 on MobileNetV2: Hugging Face's copy against transformers, TensorFlow's checkpoint against the same."""

import re

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import identify, import_weights
from tests.weights.layouts.conftest import assert_same_logits, assert_same_state, image_of, randomised

SIZE = (97, 118)
MOBILENET = "MobilenetV2/expanded_conv"


def to_tensorflow(state):
    """transformers' state dict under slim's names and in its axes, told from tensorflow/models' research/deeplab."""
    head = {"conv_aspp": "aspp0", "conv_pool": "image_pooling", "conv_projection": "concat_projection"}
    parts = {"expand_1x1": "expand", "conv_3x3": "depthwise", "reduce_1x1": "project"}
    names = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    found = {}
    for key, array in state.items():
        module, _, kind = key.rpartition(".")[0].rpartition(".")
        name, last = key.rpartition(".")[2], module.rpartition(".")[2]
        if name == "num_batches_tracked":
            continue
        if module.startswith("segmentation_head"):
            scope = head.get(last, "logits/semantic")
        elif module == "mobilenet_v2.conv_1x1":
            scope = "MobilenetV2/Conv_1"
        elif last == "first_conv":
            scope = "MobilenetV2/Conv"
        else:
            layer = re.search(r"layer\.(\d+)", module)
            scope = f"{MOBILENET}{f'_{int(layer[1]) + 1}' if layer else ''}/{parts[last]}"
        if kind == "normalization":
            found[f"{scope}/BatchNorm/{names[name]}"] = array
        elif name == "bias":
            found[f"{scope}/biases"] = array
        elif last == "conv_3x3":
            found[f"{scope}/depthwise_weights"] = array.transpose(2, 3, 0, 1)
        else:
            found[f"{scope}/weights"] = array.transpose(2, 3, 1, 0)
    return found


def write_checkpoint(arrays, prefix):
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(np.ascontiguousarray(array)) for array in arrays.values()],
    )


@pytest.fixture
def network(needs):
    needs("torchvision")  # transformers imports it where it is there
    transformers = needs("transformers")

    def network(width, stride):
        config = transformers.MobileNetV2Config(
            depth_multiplier=width,
            output_stride=stride,
            num_labels=21,
            tf_padding=True,
            finegrained_output=False,
        )
        return randomised(transformers.MobileNetV2ForSemanticSegmentation(config))

    return network


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("width", "stride"), [(1.0, 8), (0.5, 16)])
@pytest.mark.parametrize("program", ["huggingface", "tensorflow"])
def test_against_transformers(program, width, stride, network, needs, folder):
    """The two differ by how the scores are enlarged."""
    torch = needs("torch")
    net, image = network(width, stride), image_of(*SIZE)
    if program == "huggingface":
        path = folder / "net.pth"
        torch.save(net.state_dict(), path)
    else:
        path = folder / "model.ckpt-30000"
        state = {key: value.numpy() for key, value in net.state_dict().items()}
        write_checkpoint(to_tensorflow(state) | {"global_step": np.zeros((), np.int64)}, path)
    found = import_weights(path, output_stride=stride)
    assert found.source == f"{program}/deeplabv3_mobilenet_v2"
    assert all(re.search(r"conv_1x1|Conv_1/|tracked|global_step", key) for key in found.unused)
    if program == "huggingface":
        assert_same_state(found, net)
    pixels = torch.from_numpy((image / 127.5 - 1).transpose(2, 0, 1)[None].astype("f4"))
    with torch.no_grad():
        logits = net(pixels).logits
        corners = program == "tensorflow"
        logits = torch.nn.functional.interpolate(logits, SIZE, mode="bilinear", align_corners=corners)
    assert_same_logits(found.model, image, logits[0].numpy().transpose(1, 2, 0))


GROUPS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


def narrow_checkpoint():
    """slim's names and shapes at a quarter of the width, counted from the paper's table 2."""
    rng, found = np.random.default_rng(0), {}

    def unit(scope, shape):
        depthwise = scope.endswith("/depthwise")
        found[f"{scope}/{'depthwise_' if depthwise else ''}weights"] = rng.normal(size=shape).astype("f4")
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            channels = shape[2] if depthwise else shape[3]
            found[f"{scope}/BatchNorm/{name}"] = rng.uniform(0.5, 1.5, channels).astype("f4")

    unit("MobilenetV2/Conv", (3, 3, 3, 8))
    inputs, number = 8, 0
    for expansion, filters, repeats in GROUPS:
        for _ in range(repeats):
            scope, wide = f"{MOBILENET}{f'_{number}' if number else ''}", inputs * expansion
            outputs = max(8, int(filters / 4 + 4) // 8 * 8)
            if expansion > 1:
                unit(f"{scope}/expand", (1, 1, inputs, wide))
            unit(f"{scope}/depthwise", (3, 3, wide, 1))
            unit(f"{scope}/project", (1, 1, wide, outputs))
            inputs, number = outputs, number + 1
    for scope, wide in (("aspp0", inputs), ("image_pooling", inputs), ("concat_projection", 12)):
        unit(scope, (1, 1, wide, 6))
    found["logits/semantic/weights"] = rng.normal(size=(1, 1, 6, 3)).astype("f4")
    return found | {"logits/semantic/biases": rng.normal(size=3).astype("f4")}


def test_every_array_of_a_checkpoint_finds_its_layer(folder):
    arrays = narrow_checkpoint()
    slots = {"aspp0/weights/Momentum": arrays["aspp0/weights"], "global_step": np.zeros((), np.int64)}
    write_checkpoint(arrays | slots, folder / "model.ckpt-30000")
    found = import_weights(folder / "model.ckpt-30000.index")
    assert (found.source, set(found.unused)) == (identify(arrays), set(slots))
    assert found.model.backbone.output_stride == 8
    pairs = {
        "block1_dw_conv": f"{MOBILENET}/depthwise/depthwise_weights",
        "stem_conv": "MobilenetV2/Conv/weights",
    }
    pairs |= {
        "block17_expand_conv": f"{MOBILENET}_16/expand/weights",
        "image_level_conv": "image_pooling/weights",
    }
    for layer, key in pairs.items():
        np.testing.assert_array_equal(found.model.get_layer(layer).weights[0], arrays[key])
    theirs = arrays["concat_projection/weights"]  # the image level first
    mine = np.concatenate([theirs[:, :, 6:], theirs[:, :, :6]], axis=2)
    np.testing.assert_array_equal(found.model.get_layer("projection_conv").kernel, mine)


def test_the_decoder_of_v3plus_is_refused(folder):
    arrays = narrow_checkpoint() | {"decoder/feature_projection0/weights": np.zeros((1, 1, 24, 48), "f4")}
    np.savez(folder / "net.npz", **arrays)
    with pytest.raises(ModelError, match="found no place: decoder/feature_projection0/weights"):
        import_weights(folder / "net.npz")
