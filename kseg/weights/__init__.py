"""Published weight files: safe readers, and one key map a source."""

from kseg.weights.importing import SOURCES, Imported, identify, import_weights
from kseg.weights.published import Published, published
from kseg.weights.reading.read import read
from kseg.weights.writing import write

__all__ = ["SOURCES", "Imported", "Published", "identify", "import_weights", "published", "read", "write"]
