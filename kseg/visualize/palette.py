"""Colours of classes: PASCAL VOC's colour map, tables of colours, and label maps as indexed PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.io.atomic import write_bytes
from kseg.io.colour_map import default_palette

__all__ = ["Palette", "colour_table", "default_palette", "palette_png", "palette_table", "write_palette_png"]

Palette = Sequence[tuple[int, int, int]]


def write_palette_png(path: str | Path, labels: np.ndarray, palette: Palette | None = None) -> None:
    """Write class ids as an 8-bit indexed PNG, PASCAL VOC's format of masks.

    The pixels are the ids; a viewer shows the palette's colours.

    Args:
        path: the file; it is replaced as a whole or left as it was.
        labels: uint8 `(height, width)` class ids, 255 allowed.
        palette: RGB colours 0-255 of the first classes; the rest of the 256 come from VOC's colour map.

    Raises:
        DataError: labels that are not uint8 `(height, width)`.
        SettingsError: a palette of more than 256 colours, or entries that are no colours.
        FileError: the system refuses to write.
    """
    write_bytes(path, palette_png(labels, palette))


def palette_png(labels: np.ndarray, palette: Palette | None = None) -> bytes:
    """The content of the file that `write_palette_png` writes."""
    from PIL import Image

    labels = np.asarray(labels)
    if labels.dtype != np.uint8 or labels.ndim != 2 or 0 in labels.shape:
        raise DataError(
            f"A palette PNG holds uint8 labels (height, width); got {labels.dtype} {labels.shape}"
        )
    image = Image.frombytes("P", labels.shape[::-1], labels.tobytes())
    image.putpalette(palette_table(palette).tobytes())
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def palette_table(palette: Palette | None) -> np.ndarray:
    """uint8 (256, 3): the palette, filled up with VOC's colour map."""
    table = np.array(default_palette(256), np.uint8)
    if palette is None:
        return table
    colours = np.asarray(palette)
    whole = colours.dtype.kind in "iu" and colours.size and colours.min() >= 0 and colours.max() <= 255
    if colours.ndim != 2 or colours.shape[1] != 3 or len(colours) > 256 or not whole:
        raise SettingsError(
            "A palette has up to 256 colours (red, green, blue), whole numbers 0-255; got an array of shape "
            f"{colours.shape} and type {colours.dtype}"
        )
    table[: len(colours)] = colours
    return table


def colour_table(palette: Palette | None, labels: np.ndarray) -> np.ndarray:
    """uint8 (n, 3), n at least 256 and above every label: the palette, and VOC's colours for the rest."""
    highest = int(np.max(labels, initial=0))
    count = len(palette) if palette is not None else 0
    if max(highest + 1, count) <= 256:
        return palette_table(palette)
    table = np.array(default_palette(max(highest + 1, count)), np.uint8)
    if count:
        table[:count] = np.asarray(palette, np.uint8)
    return table
