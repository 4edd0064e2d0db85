"""`SOURCES`, and `identify`: which source a file is of, by its keys."""

from __future__ import annotations

import re

from kseg.errors import ModelError
from kseg.weights.layouts import (
    caffe_deeplab,
    caffe_fcn,
    caffe_pspnet,
    huggingface,
    kerashub,
    mmseg,
    mobilenet_v2,
    semseg,
    smp,
    timm,
    torchvision,
)
from kseg.weights.source import Arrays, Source
from kseg.weights.transfer import some

SOURCES: dict[str, Source] = {
    source.name: source
    for layout in (
        torchvision,
        mmseg,
        semseg,
        smp,
        timm,
        huggingface,
        kerashub,
        mobilenet_v2,
        caffe_fcn,
        caffe_deeplab,
        caffe_pspnet,
    )
    for source in layout.SOURCES
}
# Networks that kseg knows and does not import, by a key of theirs.
_STRANGERS = {
    r"(model\.)?roi_heads\..*": "a detection network of torchvision",
    r"decoder\.blocks\.0\.(conv1|attention1)\..*": "a U-Net of segmentation_models.pytorch",
    r"decoder\.p5\..*": "an FPN of segmentation_models.pytorch",
    r"decoder\.pab\..*": "a MAnet of segmentation_models.pytorch",
    r"(segformer|decode_head\.linear_c)\..*": "a SegFormer of Hugging Face",
    r"(backbone\.)?patch_embed\..*": "a vision transformer",
    r"features\.[02]\.weight": "a classifier of torchvision, such as VGG of another depth than 16 or AlexNet",
    r"features\.0\.0\.weight": "a convolutional classifier of torchvision",
    r"features\.denseblock1\..*": "a DenseNet",
    r"encoder\.features\..*": "a network of segmentation_models.pytorch on an encoder that kseg does not import",
    r"(_blocks|blocks)\.0\..*": "a network of timm or efficientnet_pytorch",
    r"inc\.double_conv\..*": "a U-Net of milesial/Pytorch-UNet",
}


def identify(arrays: Arrays) -> str:
    """The source of arrays, by their keys.

    Args:
        arrays: as `kseg.weights.read` gives them.

    Returns:
        The name of a source, such as "torchvision/fcn".

    Raises:
        ModelError: no source has such keys, or several do.

    Example:
        >>> arrays, _ = kseg.weights.read("deeplabv3_resnet50.pth")  # doctest: +SKIP
        >>> kseg.weights.identify(arrays)  # doctest: +SKIP
        'torchvision/deeplabv3'
    """
    found = _recognised(arrays) or _recognised(without_prefix(arrays)[0])
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(f"weights that fit {' and '.join(found)} alike: say which with `source` (--source)")
    keys = f"keys {some(list(arrays), 4)}"
    kinds = [
        what for pattern, what in _STRANGERS.items() if any(re.fullmatch(pattern, key) for key in arrays)
    ]
    network = kinds[0] if kinds else "a network"
    nearly = {name: lacking for name, source in SOURCES.items() if (lacking := _lacking(source, arrays))}
    if nearly:
        absent = " or ".join(dict.fromkeys(nearly.values()))
        raise ModelError(
            f"weights that look like {' or '.join(nearly)}, whose network cannot be drawn without {absent}. Layers "
            f"that got no array: {absent}; keys that found no place, as nothing was looked up: {some(list(arrays))}"
        )
    parts = {}
    for prefix in _prefixes(arrays):
        inner = _recognised(
            {key.removeprefix(prefix): one for key, one in arrays.items() if key.startswith(prefix)}
        )
        if inner:
            parts[prefix.rstrip("./")] = " or ".join(inner)
    if parts:
        places = " and ".join(f"{inner} below {part!r}" for part, inner in parts.items())
        raise ModelError(
            f"{network}, which kseg does not import as a whole, with {places} ({keys}): to import only "
            f"{'that' if len(parts) == 1 else 'one of them'}, say so with `part` (--part {' or --part '.join(parts)})"
        )
    if kinds:
        raise ModelError(f"{network}, which kseg does not import ({keys}); it imports {', '.join(SOURCES)}")
    raise ModelError(f"weights of no source that kseg knows ({keys}); known are {', '.join(SOURCES)}")


def without_prefix(arrays: Arrays) -> tuple[Arrays, str]:
    """Arrays of a network without what all their keys begin with, such as "backbone.", and that prefix, or ""."""
    for prefix in () if _recognised(arrays) else _prefixes(arrays):
        if all(key.startswith(prefix) for key in arrays):
            inner = {key.removeprefix(prefix): one for key, one in arrays.items()}
            if _recognised(inner):
                return inner, prefix
    return arrays, ""


def _lacking(source: Source, arrays: Arrays) -> str | None:
    """The one mark of a source that arrays lack, though they have others, or another array, of its module."""
    lacking = [mark for mark in source.marks if mark not in arrays]
    if len(lacking) != 1:
        return None
    *outer, module, _ = ("", *re.split("[./]", lacking[0]))
    around = ".".join(outer[1:] if len(source.marks) > 1 else [*outer[1:], module])
    near = (
        any(key.replace("/", ".").startswith(f"{around}.") for key in arrays)
        if around
        else len(source.marks) > 2
    )
    return lacking[0] if near else None


def _recognised(arrays: Arrays) -> list[str]:
    return [name for name, source in SOURCES.items() if source.recognises(arrays)]


def _prefixes(arrays: Arrays) -> list[str]:
    """What stands before a mark of a source."""
    ends = {source.marks[0] for source in SOURCES.values() if source.marks}
    found = {
        key[: -len(end)]
        for end in ends
        for key in arrays
        if key.endswith(f".{end}") or key.endswith(f"/{end}")
    }
    return sorted(found, key=len)
