"""The network of `people` or `people_hd` before its training: `LiteFPN` with the weights of a published DeepLabv3.

    python tools/people/start.py people --references ../shared/reference_models --data DIR --out DIR/start

deeplabv3_mnv2_pascal_quant.tflite (DeepLabv3 on MobileNetV2, trained by its authors on COCO and VOC) is read as
floats. Its batch normalisation is folded into the convolutions, and is unfolded again on 64 of the packed images: the
statistics are those of the maps, scale and offset undo them. That is all for `people_hd`. For `people` the blocks'
expanded channels are cut to a third or to two thirds (`slimming.py`), and each block's projection is fitted anew, so
that what is left gives what the whole block gave, as well as a linear map can (He et al., "Channel pruning for
accelerating very deep neural networks", ICCV 2017, section 3.1). Writes OUT.graph.json, OUT.keras and OUT.npz.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Form:
    """What the network of a preset looks like.

    Attributes:
        levels: of `LiteFPN`.
        side: of the square images that it is trained on.
        output_stride: of the backbone; the authors' is 16.
        expansions: of the backbone's blocks.
    """

    levels: tuple[tuple[str, int, int], ...]
    side: int
    output_stride: int
    expansions: tuple[int, ...]


AUTHORS = (1, 6, 6, 6, 6, 6, 6)  # their expansions
FORMS = {
    "people": Form(
        levels=(("stage4", 64, 48), ("stage3", 48, 32), ("stage2", 32, 16)),
        side=256,
        output_stride=32,
        expansions=(1, 2, 2, 4, 4, 4, 4),
    ),
    "people_hd": Form(
        levels=(("stage4", 96, 64), ("stage3", 64, 48), ("stage2", 48, 32), ("stage1", 24, 16)),
        side=384,
        output_stride=16,
        expansions=AUTHORS,
    ),
}
REPEATS = (1, 2, 3, 4, 3, 3, 1)
IMAGES = 64
RIDGE = 1e-4  # of the mean variance of what is fitted from
POINTS = 60_000  # of a map, at most, for one fit
CLASSES, PALETTE = ("background", "person"), ((0, 0, 0), (40, 200, 120))


def built(preset: str, expansions: tuple[int, ...]):
    """The network of a preset, on a backbone of these expansions, untrained."""
    import kseg

    form = FORMS[preset]
    backbone = kseg.backbones.DeepLabMobileNetV2(
        1.0, expansions=expansions, output_stride=form.output_stride
    )
    return kseg.models.LiteFPN(backbone, 2, levels=form.levels, decoder=0, name=preset)


def convolutions(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels (height, width, in, out or 1) and biases of a quantised .tflite file, as floats, in its order."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    details = {one["index"]: one["quantization_parameters"] for one in interpreter.get_tensor_details()}

    def floats(index: int) -> np.ndarray:
        whole, told = interpreter.get_tensor(index).astype("float64"), details[index]
        shape = [1] * whole.ndim
        shape[told["quantized_dimension"]] = -1
        zero, scale = (told[name].reshape(shape) for name in ("zero_points", "scales"))
        return ((whole - zero) * scale).astype("float32")

    operations = (one for one in interpreter._get_ops_details() if one["op_name"].endswith("CONV_2D"))
    found = [[floats(index) for index in one["inputs"][1:]] for one in operations]
    return [(kernel.transpose(1, 2, 3, 0), bias) for kernel, bias in found]


def fill(model, published: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Give the model the kernels; gives the biases by the name of the layer without its ending."""
    blocks = [f"block{stage}{'abcd'[n]}" for stage, count in enumerate(REPEATS, 1) for n in range(count)]
    names = ["stem_conv"]
    for block in blocks:
        names += [f"{block}_expand_conv"] * (block != blocks[0])
        names += [f"{block}_dwconv", f"{block}_project_conv"]
    names += ["aspp_1x1_conv", "image_level_conv", "projection_conv"]
    biases = {}
    for name, (kernel, bias) in zip(names, published, strict=False):  # the last gives 21 classes
        if name == "projection_conv":  # theirs has the image level first
            kernel = np.concatenate([kernel[:, :, 256:], kernel[:, :, :256]], 2)
        model.get_layer(name).kernel.assign(kernel)
        biases[name.removesuffix("_conv")] = bias
    return biases


def unfold(model, biases: dict[str, np.ndarray], images: np.ndarray, names: set[str] | None = None) -> None:
    """Give every batch normalisation the statistics of its map, and scale and offset that undo them but for the bias.

    Those without a published bias, of layers that start anew, keep scale 1 and offset 0. One pass does all of them,
    as each is set before the next map is computed. With `names` only batch normalisations of these names are set.
    """
    import torch
    from graph import restore, weights_of

    network = network_of(model)

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
        network(_batch(images))
    for hook in hooks:
        hook.remove()
    restore(model, weights_of(model) | network.arrays())


def telling(large, images: np.ndarray):
    """A choice of channels for `slimming.slim_from`: each time the one that tells most of what is still missing.

    Of a block's expanded channels those are kept from which its projection can best be told by a linear map.
    """
    import torch

    seen, network = {}, network_of(large)
    hooks = [
        module.register_forward_hook(lambda _, inputs, output, key=key: seen.update({key: (inputs[0], output)}))
        for key, module in network.trained.items()
        if key.endswith("_project_conv")
    ]
    with torch.no_grad():
        network(_batch(images))
    for hook in hooks:
        hook.remove()

    def choose(_, block: str, count: int) -> np.ndarray:
        x, y = (_points(maps) for maps in seen[f"{block}_project_conv"])
        x, y = x - x.mean(0), y - y.mean(0)
        gram, missing = (x.T @ x).numpy(), (x.T @ y).numpy()
        own, kept = gram.diagonal().copy() + RIDGE * gram.diagonal().mean(), []
        known = np.zeros((len(gram), count))
        for step in range(count):
            gain = (missing**2).sum(1) / own
            gain[kept] = -1
            best = int(gain.argmax())
            known[:, step] = (gram[:, best] - known[:, :step] @ known[best, :step]) / np.sqrt(own[best])
            missing = missing - np.outer(known[:, step], missing[best] / np.sqrt(own[best]))
            own = np.maximum(own - known[:, step] ** 2, RIDGE * gram.diagonal().mean())
            kept.append(best)
        return np.sort(kept)

    return choose


def refit(small, large, images: np.ndarray) -> dict[str, float]:
    """Fit the projections of the small network's blocks to the large one's maps; gives what is left of their variance.

    One pass does all of them: each is fitted to what the small network's earlier blocks give.
    """
    import torch
    from graph import restore, weights_of

    theirs, ours = network_of(large), network_of(small)
    wanted, left, hooks = {}, {}, []

    def remember(key: str):
        def hook(_, __, output) -> None:
            wanted[key] = _points(output)

        return hook

    def fit(key: str, normalisation):
        def hook(module, inputs) -> None:
            seen, target = _points(inputs[0]), wanted[key]
            mean, aim = seen.mean(0), target.mean(0)
            x, y = seen - mean, target - aim
            gram = x.T @ x
            gram += RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
            kernel = torch.linalg.solve(gram, x.T @ y)
            found = x @ kernel
            left[key] = float((found - y).square().sum() / y.square().sum())
            module.weight.copy_(kernel.T[:, :, None, None])
            variance = found.var(0)
            normalisation.running_mean.copy_(mean @ kernel)
            normalisation.running_var.copy_(variance)
            normalisation.weight.copy_(torch.sqrt(variance + normalisation.eps))
            normalisation.bias.copy_(aim)

        return hook

    for key, module in theirs.trained.items():
        if key.endswith("_project_bn"):
            hooks.append(module.register_forward_hook(remember(key)))
            projection = ours.trained[key.replace("_bn", "_conv")]
            hooks.append(projection.register_forward_pre_hook(fit(key, ours.trained[key])))
    with torch.no_grad():
        theirs(_batch(images))
        ours(_batch(images))
    for hook in hooks:
        hook.remove()
    restore(small, weights_of(small) | ours.arrays())
    return left


def network_of(model):
    """The model in PyTorch."""
    from graph import layers_of, weights_of
    from network import Network

    return Network(layers_of(model), weights_of(model)).eval()


def _batch(images: np.ndarray):
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def _points(maps):
    """Evenly spaced pixels of maps (n, c, h, w) as float64 (pixels, c)."""
    points = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return points[:: max(1, len(points) // POINTS)].double()


def narrowed(large, preset: str, images: np.ndarray):
    """The network with the preset's fewer expanded channels, its projections fitted to the large one's maps."""
    from slimming import slim_from

    small = built(preset, FORMS[preset].expansions)
    slim_from(small.backbone, large.backbone, telling(large, images))
    for name, share in refit(small, large, images).items():
        print(f"{name}: {share:.1%} of the variance is left out")
    backbone = {layer.name for layer in small.backbone.layers}
    for layer in small.layers:
        weights = large.get_layer(layer.name).get_weights() if layer.weights else []
        alike = [one.shape for one in weights] == [tuple(one.shape) for one in layer.weights]
        if layer.name not in backbone and weights and alike:
            layer.set_weights(weights)
    return small


def write(preset: str, references: Path, data: Path, out: Path) -> None:
    """Make the network and write it."""
    import graph
    import keras
    from data import load

    keras.utils.set_random_seed(0)
    model = built(preset, AUTHORS)
    biases = fill(model, convolutions(references / "deeplabv3_mnv2_pascal_quant.tflite"))
    samples = load(data, limit=2 * IMAGES, split="train")
    side = FORMS[preset].side
    images = np.stack([one.squeezed(side)[0] for one in samples[:: max(1, len(samples) // IMAGES)][:IMAGES]])
    unfold(model, biases, images)
    if FORMS[preset].expansions != AUTHORS:
        model = narrowed(model, preset, images)
    model.classes, model.palette = CLASSES, PALETTE
    model.save(f"{out}.keras")
    graph.write(model, out)


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", choices=FORMS)
    parser.add_argument("--references", required=True, type=Path, help="the folder of the .tflite file")
    parser.add_argument("--data", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--out", required=True, type=Path, help="path without an ending")
    args = parser.parse_args()
    write(args.preset, args.references, args.data, args.out)


if __name__ == "__main__":
    main()
