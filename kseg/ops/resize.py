"""Resizing of feature maps, logits and label maps, with dynamic sizes."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import SettingsError

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

METHODS = ("bilinear", "nearest")


def spatial_shape(x):
    """Give the height and width of a channels-last batch.

    Args:
        x: tensor `(batch, height, width, channels)`.

    Returns:
        (height, width): integers where they are known, scalar tensors of the graph where not.

    Example:

    >>> kseg.ops.resize.spatial_shape(np.ones((1, 5, 7, 3)))
    (5, 7)
    """
    return ops.shape(x)[1:3]


def same_size(one: Any, other: Any) -> bool:
    """Whether two sizes are known to be equal, so that a crop to the whole size can be left out.

    Args:
        one: (height, width), integers or scalar tensors.
        other: (height, width), likewise.

    Returns:
        True if all four are integers and both sizes are equal.

    Example:

    >>> kseg.ops.resize.same_size((3, 4), (3, 4))
    True
    """
    return all(isinstance(a, int) and isinstance(b, int) and a == b for a, b in zip(one, other, strict=True))


def resize(x, size, method="bilinear", align_corners=False):
    """Resize a batch of maps; sizes may be tensors that only the running graph knows.

    Args:
        x: tensor `(batch, height, width, channels)`.
        size: (height, width) of the result: integers or scalar tensors.
        method: "bilinear" or "nearest".
        align_corners: False puts samples at pixel centres (half-pixel rule, what TensorFlow 2, PyTorch's default
            and OpenCV do). True maps the corner pixels' centres onto each other (Caffe's Interp layer, the
            original DeepLab and PSPNet). Bilinear only.

    Returns:
        Tensor `(batch, *size, channels)` of the dtype of `x`. No antialiasing.

    Raises:
        SettingsError: an unknown method, or aligned corners with "nearest".

    Example:

    >>> y = kseg.ops.resize.resize(np.array([0.0, 3.0]).reshape(1, 1, 2, 1), (1, 4), align_corners=True)
    >>> np.asarray(y)[0, 0, :, 0].tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    checks.one_of(method, "method", METHODS)
    if align_corners and method != "bilinear":
        raise SettingsError("`align_corners=True` is defined for method='bilinear' only.")
    if keras.backend.backend() != "tensorflow":
        if align_corners:
            return _interpolate_axis(_interpolate_axis(x, size[0], axis=1), size[1], axis=2)
        y = ops.image.resize(
            x, tuple(size), interpolation=method, antialias=False, data_format="channels_last"
        )
        return ops.cast(y, x.dtype)
    size = tf.stack([tf.cast(s, tf.int32) for s in size])
    # Not keras.ops.image.resize, which does not take sizes that are only known at run time.
    if align_corners:
        y = tf.compat.v1.image.resize_bilinear(x, size, align_corners=True)
    else:
        y = tf.image.resize(x, size, method=method)
    static = tf.get_static_value(size, partial=True)
    # Not tf.ensure_shape: LiteRT has no such operation, and its converter cannot remove every one.
    if static is not None:
        y.set_shape((x.shape[0], static[0], static[1], x.shape[3]))
    return tf.cast(y, x.dtype)


def _interpolate_axis(x, size, axis):
    """Linear interpolation along one axis with aligned corners."""
    length = x.shape[axis]
    position = ops.arange(size, dtype="float32") * ((length - 1) / max(size - 1, 1))
    low = ops.clip(ops.cast(ops.floor(position), "int32"), 0, length - 1)
    high = ops.minimum(low + 1, length - 1)
    weight = ops.reshape(position - ops.cast(low, "float32"), [-1 if a == axis else 1 for a in range(4)])
    weight = ops.cast(weight, x.dtype)
    return ops.take(x, low, axis=axis) * (1 - weight) + ops.take(x, high, axis=axis) * weight
