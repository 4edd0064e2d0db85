"""Pure tensor functions without variables; the one place on the model side that names TensorFlow."""

from kseg.ops import pooling, resize

__all__ = ["pooling", "resize"]
