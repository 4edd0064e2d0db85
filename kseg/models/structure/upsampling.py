"""The last step of a network: class scores at the image's size."""

from kseg import checks
from kseg.layers import ResizeLike

WAYS = ("size", "corners", "cells", "centres")


def upsampled(x, image, stride, way, name="logits"):
    """Scores upsampled bilinearly to the image's size, in float32.

    Args:
        x: the scores.
        image: the image.
        stride: pixels from one cell of the scores to the next.
        way: "size" stretches by the ratio of the sizes, half-pixel rule; "corners" with aligned corners; "cells"
            puts cell i over pixel `stride * i` and "centres" over the pixels from `stride * i` on, whatever the size
            of the image (see `ResizeLike`).
        name: of the layer.
    """
    checks.one_of(way, "upsampling", WAYS)
    factor = stride if way in ("cells", "centres") else None
    aligned = way in ("corners", "cells")
    return ResizeLike(align_corners=aligned, factor=factor, name=name, dtype="float32")([x, image])


def logits_of(x, backbone, stride, way, name="logits"):
    """Scores of a network on a backbone, upsampled to its image.

    As `upsampled`; but of a backbone that fills the image up to a multiple of its stride (`padding="image"`), the
    scores cover the filled image, and what is beyond the image is cut off, never squeezed into it.
    """
    checks.one_of(way, "upsampling", WAYS)
    if backbone.padding == "image" and stride >= 1:
        way = {"size": "centres", "corners": "cells"}.get(way, way)
        way = "centres" if isinstance(stride, float) else way
    return upsampled(x, backbone.input, stride, way, backbone.free_name(name))
