"""`decimate`: a smaller filter from a larger one, by leaving taps and channels out."""

from collections.abc import Sequence

import numpy as np


def decimate(kernel: np.ndarray, bias: np.ndarray, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
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
    kept = []
    for axis, (old, new) in enumerate(zip(kernel.shape, shape, strict=True)):
        if axis > 1:  # channels and filters
            kept.append(np.arange(new) * old // new)
        elif new == 1:
            kept.append(np.array([old // 2]))
        else:  # taps from the first to the last, to keep the field of view
            kept.append(np.round(np.linspace(0, old - 1, new)).astype(int))
    return kernel[np.ix_(*kept)], bias[kept[3]]
