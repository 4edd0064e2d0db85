"""Key maps of the released Caffe files of FCN and DeconvNet."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from kseg.backbones import VGG16, VGG16BatchNorm
from kseg.errors import ModelError
from kseg.models import FCN, DeconvNet
from kseg.weights.axes import CONVOLUTION, turned
from kseg.weights.layouts.caffe import convolution, folded_norm, kernel, vgg_blobs
from kseg.weights.source import Arrays, Source
from kseg.weights.transfer import Move, variables

MEAN = (122.67891434, 116.66876762, 104.00698793)  # red, green, blue
# Deconvolutions of all releases, from the deepest on.
_UPSAMPLING = (
    *("upscore", "upscore2", "score2", "upscore_pool4", "score4"),
    *("upscore16", "upscore8", "upsample", "bigscore"),
)
_SCALE = "scale_pool"


def _fcn_name(arrays: Arrays, layer: str) -> str:
    """The name that a score layer has in this file: with hyphens in those of 2015."""
    return next((n for n in (layer, layer.replace("_", "-")) if f"{n}/0" in arrays), layer)


def _fcn(arrays: Arrays, output_stride: int) -> keras.Model:
    if any(key.startswith(("score_fr_sem", "score_fr_geo", "score_fr_geometric")) for key in arrays):
        raise ModelError("caffe/fcn: an FCN with two heads (SIFT Flow), which kseg does not build")
    del output_stride  # 32, 16 or 8 is what the file has
    stride = 8 if f"{_fcn_name(arrays, 'score_pool3')}/0" in arrays else 32
    stride = 16 if stride == 32 and f"{_fcn_name(arrays, 'score_pool4')}/0" in arrays else stride
    width = arrays["fc7/0"].shape[0] if arrays["fc7/0"].ndim == 4 and arrays["fc7/0"].shape[0] > 1 else 0
    width = width or int(arrays["fc7/1"].size)
    classes = int(arrays[f"{_fcn_name(arrays, 'score_fr')}/0"].shape[0])
    ups = _upsampling_blobs(arrays)
    bilinear = [_is_bilinear(arrays[f"{name}/0"]) for name in ups]
    learned = "none" if all(bilinear) else "intermediate" if bilinear[-1:] == [True] else "all"
    backbone = VGG16(padding="original", filters=width, mean=MEAN, name="vgg16")
    scales = tuple(_scale(arrays, f"{_SCALE}{number}") for number in (4, 3))
    return FCN(backbone, classes, stride=stride, learned_upsampling=learned, skip_scales=scales)


def _scale(arrays: Arrays, layer: str) -> float:
    """The fixed factor on a skip of the "at once" networks; 1 where there is none."""
    blob = arrays.get(f"{layer}/0")
    if blob is None:
        return 1.0
    if not (blob == blob.flat[0]).all():
        raise ModelError(
            f"caffe/fcn: {layer} has a factor of its own for every channel, which kseg does not build"
        )
    return float(blob.flat[0])


def _upsampling_blobs(arrays: Arrays) -> list[str]:
    """Caffe's deconvolutions, from the deepest on."""
    return [name for name in _UPSAMPLING if f"{name}/0" in arrays]


def _is_bilinear(blob: np.ndarray) -> bool:
    """Whether a deconvolution only upsamples: each class by itself, with Caffe's bilinear kernel."""
    count, _, side, _ = blob.shape
    factor = (side + 1) // 2
    line = 1 - np.abs(np.arange(side) - (factor - 1 if side % 2 else factor - 0.5)) / factor
    expected = np.zeros(blob.shape, np.float32)
    expected[range(count), range(min(count, blob.shape[1]))] = np.outer(line, line)
    return bool(np.allclose(blob, expected, atol=1e-4))


def _fcn_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    names = variables(model)
    for layer, blob in {**vgg_blobs(model), "fc6": "fc6", "fc7": "fc7"}.items():
        yield from convolution(layer, blob, names)
    ups = _upsampling_blobs(arrays)
    order = [layer.name for layer in model.layers if layer.name.startswith("upsampling_")]
    for layer in ("score_fr", "score_pool4", "score_pool3"):
        if f"{layer}/kernel" in names:
            blob = _fcn_name(arrays, layer)
            yield kernel(f"{layer}/kernel", f"{blob}/0")
            # A deconvolution's bias is added at the same places as that of the score layer it is summed with.
            place = order.index(f"upsampling_{layer[6:]}") if layer != "score_fr" else None
            extra = [f"{ups[place]}/1"] if place is not None and f"{ups[place]}/1" in arrays else []
            yield _summed(f"{layer}/bias", (f"{blob}/1", *extra))
    for layer, blob in zip(order, ups, strict=True):
        if f"{layer}/kernel" in names:
            yield turned(f"{layer}/kernel", f"{blob}/0", CONVOLUTION)


def _summed(target: str, keys: tuple[str, ...]) -> Move:
    return Move(target, keys, lambda arrays, shape: sum(a.astype(np.float64) for a in arrays).reshape(shape))


def _deconvnet(arrays: Arrays, output_stride: int) -> keras.Model:
    del output_stride
    if any(f"bn1_1/{number}" in arrays for number in (2, 3)):
        raise ModelError(
            "caffe/deconvnet: its BN layers have statistics of their own; expected the inference file"
        )
    width, classes = int(arrays["fc7/1"].size), int(arrays["seg-score-voc/1"].size)
    backbone = VGG16BatchNorm(filters=width, mean=MEAN, name="vgg16_bn")
    return DeconvNet(backbone, classes)


def _deconvnet_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    names = variables(model)
    renamed = {
        "fc6": "fc6",
        "fc7": "fc7",
        "deconv6": "fc6-deconv",
        "logits": "seg-score-voc",
        **vgg_blobs(model),
    }
    norms = {"bn6": "bnfc6", "bn7": "bnfc7", "debn6": "fc6-deconv-bn"}
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
            yield from convolution(layer.name, renamed.get(layer.name, layer.name), names)
        elif isinstance(layer, keras.layers.BatchNormalization):
            yield from folded_norm(layer.name, norms.get(layer.name, layer.name), layer.epsilon)


FCN_SOURCE = Source(
    name="caffe/fcn",
    recognises=lambda arrays: (
        any(f"{layer}/0" in arrays for layer in ("score_fr", "score-fr")) and "fc7/0" in arrays
    ),
    build=_fcn,
    moves=_fcn_moves,
    output_strides=(8, 16, 32),
    left_out=lambda key: key.split("/")[0] in _UPSAMPLING or key.startswith(_SCALE),
    note="the image padded by 100, BGR without the mean of the release",
    licence="unrestricted (BVLC model licence), as the authors' page states",
    page="https://github.com/shelhamer/fcn.berkeleyvision.org",
)
DECONVNET_SOURCE = Source(
    name="caffe/deconvnet",
    recognises=lambda arrays: "seg-score-voc/0" in arrays,
    build=_deconvnet,
    moves=_deconvnet_moves,
    output_strides=(1,),
    note="made for windows of 224x224; statistics of the batch normalisation are folded into scale and shift: freeze "
    "these layers before training on",
    licence="research purposes only, as the authors' page states",
    page="https://github.com/HyeonwooNoh/DeconvNet",
)
SOURCES = (FCN_SOURCE, DECONVNET_SOURCE)
