"""Published weight files: safe readers, and one key map a source."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.weights.identifying import SOURCES, identify
    from kseg.weights.importing import Imported, import_weights
    from kseg.weights.published_files import Published, published
    from kseg.weights.reading.read import read
    from kseg.weights.writing import write

_HOMES = {
    "SOURCES": "identifying",
    "Imported": "importing",
    "Published": "published_files",
    "identify": "identifying",
    "import_weights": "importing",
    "published": "published_files",
    "read": "reading.read",
    "write": "writing",
}

__all__ = ["SOURCES", "Imported", "Published", "identify", "import_weights", "published", "read", "write"]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
