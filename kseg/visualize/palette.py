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
        SettingsError: a palette of more than 256 colours, or entries that are not colours.
        FileError: the system refuses to write.

    Example:

    >>> from kseg.visualize.palette import write_palette_png
    >>> write_palette_png("labels.png", np.array([[0, 1], [1, 255]], np.uint8))
    """
    write_bytes(path, palette_png(labels, palette))


def palette_png(labels: np.ndarray, palette: Palette | None = None) -> bytes:
    """The content of the file that `write_palette_png` writes.

    Args:
        labels: uint8 `(height, width)` class ids, 255 allowed.
        palette: RGB colours 0-255 of the first classes; the rest of the 256 come from VOC's colour map.

    Returns:
        The PNG.

    Raises:
        DataError: labels that are not uint8 `(height, width)`.
        SettingsError: a palette of more than 256 colours, or entries that are not colours.

    Example:

    >>> from kseg.visualize.palette import palette_png
    >>> palette_png(np.array([[0, 1], [1, 255]], np.uint8))[1:4]
    b'PNG'
    """
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
    """256 colours: the palette, filled up with VOC's colour map.

    Args:
        palette: RGB colours 0-255 of the first classes; None: VOC's colour map alone.

    Returns:
        uint8 `(256, 3)`.

    Raises:
        SettingsError: a palette of more than 256 colours, or entries that are not colours.

    Example:

    >>> from kseg.visualize.palette import palette_table
    >>> palette_table([(10, 20, 30)])[:2]
    array([[ 10,  20,  30],
           [128,   0,   0]], dtype=uint8)
    """
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
    """A colour for each label that occurs: the palette's, and VOC's for the rest.

    Args:
        palette: RGB colours 0-255 of the first classes, or None.
        labels: integer class ids of any shape, at least 0.

    Returns:
        uint8 `(n, 3)`, `n` at least 256 and above every label.

    Raises:
        SettingsError: entries of the palette that are not colours.

    Example:

    >>> from kseg.visualize.palette import colour_table
    >>> colour_table(None, np.array([[0, 300]])).shape
    (301, 3)
    """
    highest = int(np.max(labels, initial=0))
    count = len(palette) if palette is not None else 0
    if max(highest + 1, count) <= 256:
        return palette_table(palette)
    table = np.array(default_palette(max(highest + 1, count)), np.uint8)
    if count:
        table[:count] = np.asarray(palette, np.uint8)
    return table
