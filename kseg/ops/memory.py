"""Tensors in memory that NumPy laid out: what a variable takes over without a copy."""

import math
from typing import Any

import keras
import numpy as np

_ALIGNMENT = 64  # bytes; TensorFlow copies what is aligned to less
_SMALL = 1 << 14


def empty_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of zeros that takes no memory before it is written to, laid out as TensorFlow wants it.

    Args:
        shape, dtype: as in NumPy.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def tensor_of(array: np.ndarray) -> Any:
    """The tensor of an array; under TensorFlow it is in the array's own memory, which nobody else may write to then.

    Args:
        array: of `empty_array`, or any other, which is copied.
    """
    shared = array.nbytes > _SMALL and array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous
    if keras.backend.backend() != "tensorflow" or not shared or not array.flags.writeable:
        return keras.ops.convert_to_tensor(array)
    import tensorflow as tf

    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
