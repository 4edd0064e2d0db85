"""A Keras network as a PyTorch module, for training on a GPU: the same layers, the same weights, NCHW.

`graph.write` writes what is read here: `NAME.graph.json`, the layers in order, and `NAME.npz`, their weights.
"""

import json

import numpy as np
import torch
import torch.nn.functional as F
from depthwise import depthwise
from torch import nn

# What PyTorch calls the weights of a batch normalisation, and what Keras does.
NORMALISATION = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def load(path: str) -> "Network":
    """The network of `PATH.graph.json` and `PATH.npz`."""
    with open(f"{path}.graph.json", encoding="utf-8") as file:
        layers = json.load(file)
    with np.load(f"{path}.npz") as weights:
        return Network(layers, dict(weights))


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """What TensorFlow's SAME pads before and after."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


class Convolution(nn.Module):
    """Conv2D or DepthwiseConv2D of Keras."""

    def __init__(self, config: dict, kernel: np.ndarray, bias: np.ndarray | None, *, depthwise: bool) -> None:
        super().__init__()
        self.stride, self.dilation = config["strides"][0], config["dilation_rate"][0]
        self.size, self.padded = config["kernel_size"][0], config["padding"] == "same"
        kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
        self.weight = nn.Parameter(_tensor(kernel).contiguous(memory_format=torch.channels_last))
        self.groups = kernel.shape[0] if depthwise else 1
        self.bias = None if bias is None else nn.Parameter(_tensor(bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = 0
        if self.padded and self.size > 1:
            sides = [same_padding(size, self.size, self.stride, self.dilation) for size in x.shape[2:]]
            (top, bottom), (left, right) = sides
            if top == bottom == left == right:
                padding = top
            else:
                x = F.pad(x, (left, right, top, bottom))
        if self.groups > 1 and self.bias is None and x.device.type == "cpu" and torch.is_grad_enabled():
            return depthwise(x, self.weight, self.stride, padding, self.dilation)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Network(nn.Module):
    """The layers of a Keras functional model, one after the other.

    Args:
        layers: `[name, class, configuration, names of the inputs]` of each layer, in an order that can be run.
        weights: Keras's arrays by `layer/variable`.
    """

    def __init__(self, layers: list, weights: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.layers, self.trained = layers, nn.ModuleDict()
        self.last_use = {source: name for name, *_, sources in layers for source in sources}
        for name, kind, config, _ in layers:
            array = lambda variable, name=name: weights.get(f"{name}/{variable}")  # noqa: E731
            if kind in ("Conv2D", "DepthwiseConv2D"):
                depthwise = kind == "DepthwiseConv2D"
                module = Convolution(config, array("kernel"), array("bias"), depthwise=depthwise)
            elif kind == "BatchNormalization":
                module = nn.BatchNorm2d(len(array("gamma")), config["epsilon"], 1 - config["momentum"])
                with torch.no_grad():
                    for ours, theirs in NORMALISATION.items():
                        getattr(module, ours).copy_(_tensor(array(theirs)))
            else:
                continue
            self.trained[_key(name)] = module

    def forward(self, images: torch.Tensor, until: str | None = None) -> torch.Tensor:
        """Logits of images 0-255 (batch, 3, height, width), or the map of the layer `until`."""
        maps = {}
        for name, kind, config, sources in self.layers:
            inputs = [maps[source] for source in sources]
            if kind == "InputLayer":
                maps[name] = images
            elif _key(name) in self.trained:
                maps[name] = self.trained[_key(name)](inputs[0])
            else:
                maps[name] = FIXED[kind](config, *inputs, training=self.training)
            if name == until:
                break
            for source in sources:
                if self.last_use[source] == name:
                    maps.pop(source, None)
        return maps[name]

    def arrays(self, state: dict[str, torch.Tensor] | None = None) -> dict[str, np.ndarray]:
        """Keras's arrays by `layer/variable`, of this network's weights or of another state of them."""
        names, found = {_key(name): name for name, *_ in self.layers}, {}
        for path, value in (state or self.state_dict()).items():
            _, key, variable = path.split(".")
            if variable == "num_batches_tracked":
                continue
            array, module = value.detach().float().cpu().numpy(), self.trained[key]
            if isinstance(module, nn.BatchNorm2d):
                variable = NORMALISATION[variable]
            elif variable == "weight":
                order = (2, 3, 0, 1) if module.groups > 1 else (2, 3, 1, 0)
                array, variable = array.transpose(order), "kernel"
            found[f"{names[key]}/{variable}"] = np.ascontiguousarray(array)
        return found


def _key(name: str) -> str:
    """A layer's name as PyTorch takes it."""
    return name.replace(".", "_")


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array).astype("float32"))


def _normalize(config: dict, x: torch.Tensor, **_) -> torch.Tensor:
    mean, std = (torch.tensor(config[key], device=x.device).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (x.float() - mean) / std


def _zero_padding(config: dict, x: torch.Tensor, **_) -> torch.Tensor:
    (top, bottom), (left, right) = config["padding"]
    return F.pad(x, (left, right, top, bottom))


def _pad_to_multiple(config: dict, x: torch.Tensor, **_) -> torch.Tensor:
    height, width = (-side % config["factor"] for side in x.shape[2:])
    return F.pad(x, (0, width, 0, height)) if height or width else x


def _resize_like(config: dict, x: torch.Tensor, like: torch.Tensor, **_) -> torch.Tensor:
    size, factor = like.shape[2:], config["factor"]
    if factor is None:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    larger = F.interpolate(x.float(), scale_factor=factor, mode="bilinear", align_corners=False)
    return larger[:, :, : size[0], : size[1]]


def _depth_to_space(config: dict, x: torch.Tensor, **_) -> torch.Tensor:
    """TensorFlow's order of channels, which is not that of PyTorch's pixel_shuffle."""
    block, (batch, channels, height, width) = config["block"], x.shape
    parts = x.float().view(batch, block, block, channels // block**2, height, width)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * block, width * block)


# Layers without weights, by their Keras class: from (configuration, inputs) to the output.
FIXED = {
    "ReLU": lambda config, x, **_: F.relu6(x) if config.get("max_value") == 6 else F.relu(x),
    "Add": lambda _, a, b, **__: a + b,
    "Concatenate": lambda _, *inputs, **__: torch.cat(inputs, 1),
    "CropLike": lambda _, x, like, **__: x[:, :, : like.shape[2], : like.shape[3]],
    "GlobalAveragePooling2D": lambda _, x, **__: x.mean((2, 3), keepdim=True),
    "Dropout": lambda config, x, *, training: F.dropout(x, config["rate"], training),
    "Normalize": _normalize,
    "ZeroPadding2D": _zero_padding,
    "PadToMultiple": _pad_to_multiple,
    "ResizeLike": _resize_like,
    "DepthToSpace": _depth_to_space,
}
