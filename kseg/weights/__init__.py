"""Published weight files: safe readers, and one key map a source."""

from kseg.weights.importing import SOURCES, Imported, identify, import_weights
from kseg.weights.reading.read import read

__all__ = ["SOURCES", "Imported", "identify", "import_weights", "read"]
