"""Pure tensor functions without variables; the one place on the model side that names TensorFlow."""

from kseg.ops import convolution, pooling, resize

__all__ = ["convolution", "pooling", "resize"]
