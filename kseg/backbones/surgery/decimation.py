"""`decimate`: a smaller filter from a larger one, by leaving taps and channels out."""

import numpy as np


def decimate(kernel, bias, shape):
    """Subsample a convolution's filters evenly in space and along both channel axes.

    This is how DeepLab makes its fc6 (3x3 or 4x4, 1024 or 4096 filters) and fc7 out of VGG16's 7x7 of 4096.
    Of 7 taps, 4 are taps 0, 2, 4, 6 and 3 are taps 0, 3, 6; of 4096 channels, 1024 are every fourth.

    Args:
        kernel: array `(rows, columns, channels, filters)`.
        bias: array `(filters,)`.
        shape: shape of the smaller kernel, no axis longer than the kernel's.

    Returns:
        `(kernel, bias)`, copies of the kept values.

    Raises:
        ValueError: an axis would have to grow, or the bias does not fit the kernel.

    Reference:
        Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR
        2015, section 3.1 ("simple decimation"). It does not say which taps and filters are kept.

    Example:

    >>> kernel, bias = kseg.backbones.decimate(np.ones((7, 7, 8, 8)), np.ones(8), (3, 3, 8, 4))
    >>> kernel.shape, bias.shape
    ((3, 3, 8, 4), (4,))
    """
    kernel, bias = np.asarray(kernel), np.asarray(bias)
    shape = tuple(int(n) for n in shape)
    if kernel.ndim != 4 or bias.shape != kernel.shape[3:] or len(shape) != 4:
        raise ValueError(
            f"a kernel has 4 axes and a bias per filter; got {kernel.shape}, {bias.shape}, {shape}"
        )
    if any(not 1 <= new <= old for new, old in zip(shape, kernel.shape, strict=True)):
        raise ValueError(f"decimation only leaves out: cannot make {shape} of {kernel.shape}")
    rows, columns = (_taps(old, new) for old, new in zip(kernel.shape[:2], shape[:2], strict=True))
    channels, filters = (_channels(old, new) for old, new in zip(kernel.shape[2:], shape[2:], strict=True))
    return kernel[np.ix_(rows, columns, channels, filters)], bias[filters]


def _taps(old, new):
    """Evenly spread from the first to the last, to keep the field of view; a single one is the middle."""
    return np.array([old // 2]) if new == 1 else np.round(np.linspace(0, old - 1, new)).astype(int)


def _channels(old, new):
    return np.arange(new) * old // new
