"""Published weight files: safe readers, and one key map a source."""

from kseg.weights.reading.read import read

__all__ = ["read"]
