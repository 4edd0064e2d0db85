"""Blobs of Caffe's layers: kernels, legacy shapes, and the three kinds of batch normalisation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from kseg.weights.axes import CONVOLUTION, constant, kept
from kseg.weights.transfer import Move

_VGG = re.compile(r"block(\d)_conv(\d)")
BLOCK = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")


def kernel(target: str, key: str) -> Move:
    """A convolution's kernel; a dense one, (out, in * rows * columns), as the convolution over its whole map."""

    def make(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        (blob,) = arrays
        if len(shape) != 4:
            return blob
        rows, columns, before, after = shape
        wanted = (after, before, rows, columns)
        dense = blob.ndim == 2 or blob.shape[:2] == (1, 1)
        return (blob.reshape(wanted) if dense and blob.shape != wanted else blob).transpose(CONVOLUTION)

    return Move(target, (key,), make)


def convolution(layer: str, blob: str, names: dict[str, object]) -> Iterator[Move]:
    """Kernel and, where the layer has one, bias."""
    yield kernel(f"{layer}/kernel", f"{blob}/0")
    if f"{layer}/bias" in names:
        yield kept(f"{layer}/bias", f"{blob}/1")


def batch_norm(layer: str, statistics: str, scale: str) -> Iterator[Move]:
    """BVLC's pair of layers: mean, variance and the divisor of both; then slope and bias."""

    def divided(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        total, divisor = arrays[0].astype(np.float64), float(arrays[1].ravel()[0])
        return (total / divisor if divisor else total * 0).reshape(shape)

    yield Move(f"{layer}/moving_mean", (f"{statistics}/0", f"{statistics}/2"), divided)
    yield Move(f"{layer}/moving_variance", (f"{statistics}/1", f"{statistics}/2"), divided)
    yield kept(f"{layer}/gamma", f"{scale}/0")
    yield kept(f"{layer}/beta", f"{scale}/1")


def pspnet_norm(layer: str, blob: str) -> Iterator[Move]:
    """PSPNet's own BN layer: slope, bias, mean, variance."""
    for number, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance")):
        yield kept(f"{layer}/{name}", f"{blob}/{number}")


def folded_norm(layer: str, blob: str, epsilon: float) -> Iterator[Move]:
    """DeconvNet's BN layer in its inference files: scale and shift, the statistics folded in."""
    yield kept(f"{layer}/gamma", f"{blob}/0")
    yield kept(f"{layer}/beta", f"{blob}/1")
    yield constant(f"{layer}/moving_mean", 0)
    yield constant(f"{layer}/moving_variance", 1 - epsilon)


def vgg_blobs(model: keras.Model) -> dict[str, str]:
    """kseg's convolutions of VGG16 -> Caffe's layers."""
    found = ((layer.name, _VGG.fullmatch(layer.name)) for layer in model.layers)
    return {name: f"conv{match[1]}_{match[2]}" for name, match in found if match}
