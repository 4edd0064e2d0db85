"""The network of the preset `people` before its training: `LiteFPN` with the weights of deeplabv3.tflite.

    python tools/people/start.py --references ../shared/reference_models --data DIR --out DIR/start

deeplabv3.tflite (DeepLabv3 on MobileNetV2 of half width, trained by its authors on COCO and VOC) has its batch
normalisation folded into the convolutions. It is unfolded again on 64 of the packed images: the statistics are those of
the maps, scale and offset undo them. Then the weakest channels of the first blocks are left out (`slimming.py`).
Writes OUT.graph.json, OUT.keras and OUT.npz.
"""

import argparse
import os
from pathlib import Path

import numpy as np

LEVELS = (("stage4", 64, 48), ("stage3", 48, 32), ("stage2", 32, 16))
EXPANSIONS = (1, 4, 4, 6, 6, 6, 6)
REPEATS = (1, 2, 3, 4, 3, 3, 1)
IMAGES = 64
CLASSES, PALETTE = ("background", "person"), ((0, 0, 0), (40, 200, 120))


def head_on(backbone):
    """The head of the preset."""
    import kseg

    return kseg.models.LiteFPN(backbone, 2, levels=LEVELS, decoder=0, name="people")


class Published:
    """The kernels and biases of deeplabv3.tflite."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True)
        self.interpreter.allocate_tensors()
        self.indices = {one["name"]: one["index"] for one in self.interpreter.get_tensor_details()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.interpreter.get_tensor(self.indices[name]).astype("float32")

    def joined(self) -> list[str]:
        """The names of the maps that its head concatenates, in their order."""
        names = {index: name for name, index in self.indices.items()}
        operations = self.interpreter._get_ops_details()
        (found,) = (one["inputs"] for one in operations if one["op_name"] == "CONCATENATION")
        return [names[index] for index in found]


def fill(model, published: Published) -> dict[str, np.ndarray]:
    """Give the model the kernels; gives the biases by the name of the layer without its ending."""
    backbone, biases = "MobilenetV2/expanded_conv", {}

    def put(name: str, kernel: str, bias: str, layer: str | None = None) -> None:
        model.get_layer(layer or f"{name}_conv").kernel.assign(published[kernel].transpose(1, 2, 3, 0))
        biases[name] = published[bias]

    put("stem", "MobilenetV2/Conv/weights", "MobilenetV2/Conv/Conv2D_bias")
    blocks = [f"block{stage}{'abcd'[n]}" for stage, count in enumerate(REPEATS, 1) for n in range(count)]
    for number, block in enumerate(blocks):
        theirs = f"{backbone}_{number}" if number else backbone
        if number:
            put(f"{block}_expand", f"{theirs}/expand/weights", f"{theirs}/expand/Conv2D_bias")
        depthwise = f"{theirs}/depthwise/depthwise_weights", f"{theirs}/depthwise/depthwise_bias"
        put(f"{block}_dwconv", *depthwise, layer=f"{block}_dwconv")
        put(f"{block}_project", f"{theirs}/project/weights", f"{theirs}/project/Conv2D_bias")
    for ours, theirs in (
        ("aspp_1x1", "aspp0"),
        ("image_level", "image_pooling"),
        ("projection", "concat_projection"),
    ):
        put(ours, f"{theirs}/weights", f"{theirs}/Conv2D_bias")
    if published.joined()[0] != "aspp0/Relu":  # the order of ours
        layer = model.get_layer("projection_conv")
        kernel = np.asarray(layer.kernel)
        layer.kernel.assign(np.concatenate([kernel[:, :, 256:], kernel[:, :, :256]], 2))
    return biases


def unfold(model, biases: dict[str, np.ndarray], images: np.ndarray, names: set[str] | None = None) -> None:
    """Give every batch normalisation the statistics of its map, and scale and offset that undo them but for the bias.

    Those without a published bias, of layers that start anew, keep scale 1 and offset 0. One pass does all of them,
    as each is set before the next map is computed. With `names` only batch normalisations of these names are set.
    """
    import torch
    from graph import layers_of, restore, weights_of
    from network import Network

    network = Network(layers_of(model), weights_of(model)).eval()

    def setter(bias: np.ndarray | None):
        def set_statistics(module, inputs) -> None:
            mean, variance = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
            module.running_mean.copy_(mean)
            module.running_var.copy_(variance)
            if bias is not None:
                module.weight.copy_(torch.sqrt(variance + module.eps))
                module.bias.copy_(mean + torch.from_numpy(bias))

        return set_statistics

    hooks = [
        module.register_forward_pre_hook(setter(biases.get(key.removesuffix("_bn"))))
        for key, module in network.trained.items()
        if isinstance(module, torch.nn.BatchNorm2d) and (names is None or key in names)
    ]
    with torch.no_grad():
        network(torch.from_numpy(images).permute(0, 3, 1, 2).float())
    for hook in hooks:
        hook.remove()
    restore(model, weights_of(model) | network.arrays())


def slimmed(large):
    """The network with fewer expanded channels in its first blocks, and the large one's weights."""
    from slimming import slim_from

    import kseg

    small = head_on(kseg.backbones.DeepLabMobileNetV2(0.5, expansions=EXPANSIONS))
    slim_from(small.backbone, large.backbone)
    backbone = {layer.name for layer in small.backbone.layers}
    for layer in small.layers:
        weights = large.get_layer(layer.name).get_weights() if layer.weights else []
        alike = [one.shape for one in weights] == [tuple(one.shape) for one in layer.weights]
        if layer.name not in backbone and weights and alike:
            layer.set_weights(weights)
    return small


def write(references: Path, data: Path, out: Path) -> None:
    """Make the network and write it."""
    import graph
    import keras
    from data import load

    import kseg

    keras.utils.set_random_seed(0)
    large = head_on(kseg.backbones.DeepLabMobileNetV2(0.5))
    biases = fill(large, Published(references / "deeplabv3.tflite"))
    samples = load(data)
    chosen = np.random.default_rng(0).permutation(len(samples))[:IMAGES]
    unfold(large, biases, np.stack([samples[number].squeezed()[0] for number in chosen]))
    small = slimmed(large)
    small.classes, small.palette = CLASSES, PALETTE
    small.save(f"{out}.keras")
    graph.write(small, out)


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--references", required=True, type=Path, help="the folder of deeplabv3.tflite")
    parser.add_argument("--data", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--out", required=True, type=Path, help="path without an ending")
    args = parser.parse_args()
    write(args.references, args.data, args.out)


if __name__ == "__main__":
    main()
