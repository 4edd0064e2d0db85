"""The one reader of masks: class ids from any lossless image file, by value, palette index or declared colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kseg.errors import DataError
from kseg.io.colour_map import colour_map
from kseg.io.formats.mat_mask import read_mat_mask
from kseg.io.image_file import MAX_PIXELS, ImageFile, open_image
from kseg.io.images import deep_pixels, load

IGNORE_LABEL = 255
Colours = Sequence[tuple[tuple[int, int, int], int]]
# A palette of greys this dark is no palette for the eye: it is a grey mask that a program stored with a palette.
_DARK = 32


def read_mask(
    source: str | Path | bytes,
    max_pixels: int = MAX_PIXELS,
    colours: Colours = (),
    *,
    num_classes: int | None = None,
    name: str | None = None,
) -> np.ndarray:
    """Reads a mask as class ids; the same mask gives the same ids in every lossless format.

    - Grey, of any depth: the values are the ids.
    - Indexed (palette PNG, BMP, GIF or TIFF): the indices are the ids, as in PASCAL VOC. But where all colours in use
      are declared in `colours`, these say what they stand for, and a palette of nearly black greys is a grey mask.
    - Colours: equal channels are grey; with `colours`, every pixel is looked up in them.

    A mask is never turned, resized or interpolated. A `.mat` file is read as SBD's.

    Args:
        source: path of the mask, or the bytes of an image file.
        max_pixels: larger masks are refused before they are decoded.
        colours: pairs of an RGB colour (0-255) and the class id it stands for.
        num_classes: how many classes there are, where that is known: helps to tell ids from colours in grey masks.
        name: what to call the mask in messages; default: its path.

    Returns:
        uint8 array of shape `(height, width)`.

    Raises:
        DataError: as `read_image`; and for lossy compression, an alpha channel that is not opaque throughout, an EXIF
            orientation, an id that is negative, a fraction or above 255, colours without `colours` or that `colours`
            does not have, and values that are ids and declared colours at once.

    Example:

    >>> import io
    >>> import numpy as np
    >>> from PIL import Image
    >>> from kseg.data import read_mask
    >>> file = io.BytesIO()
    >>> Image.fromarray(np.array([[0, 1], [2, 255]], "uint8")).save(file, "PNG")
    >>> read_mask(file.getvalue())
    array([[  0,   1],
           [  2, 255]], dtype=uint8)
    """
    if not isinstance(source, (bytes, bytearray, memoryview)) and Path(source).suffix == ".mat":
        return read_mat_mask(source, max_pixels)
    file = open_image(source, max_pixels, name=name)
    if not file.lossless:
        raise DataError(
            f"{file.name}: {file.kind.upper()} with lossy compression changes class ids: save masks as PNG"
        )
    if file.orientation != 1:
        raise DataError(
            f"{file.name}: a mask with the EXIF orientation {file.orientation}: kseg cannot know whether it was drawn "
            "turned or not: save it upright, without EXIF"
        )
    values, palette = _stored(file)
    if palette is not None:
        return _ids_of_palette(file.name, values, palette, colours)
    if values.ndim == 3 and colours:
        known = {colour for colour, _ in colours}
        grey = values[..., 0]
        equal = (values == values[..., :1]).all()
        if equal and not all((int(value),) * 3 in known for value in np.unique(grey)):
            return _ids_of_grey(
                file.name, grey, colours, num_classes
            )  # ids in three channels, as WebP stores them
        return _ids_of_colours(file.name, values, colours)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise DataError(
                f"{file.name}: a mask in colours, where one channel of class ids (0, 1, 2, ...) is expected: save it "
                'as an indexed or grey PNG, or give the colours in classes.txt, one "name R G B" a line'
            )
        values = values[..., 0]
    elif colours:
        return _ids_of_grey(file.name, values, colours, num_classes)
    return _whole_ids(file.name, values)


def png_palette(source: str | Path) -> bytes:
    """The RGB bytes of an indexed image's palette; empty for every other file."""
    if Path(source).suffix == ".mat":
        return b""
    opened = open_image(source, None).opened
    return bytes(opened.getpalette("RGB") or b"") if opened.mode == "P" else b""


def _stored(file: ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """The values as stored, `(height, width)` or `(height, width, 3)`, and the palette (entries, 3) of indices."""
    if file.deep:
        load(file)
        pixels = deep_pixels(file)
        if pixels.shape[-1] == 4:
            _check_alpha(file, pixels[..., 3], 65535)
        pixels = pixels[..., :3]
        if not (pixels % 257).any():  # in 8 bits nothing is lost: 65535 is 255
            pixels = (pixels // 257).astype(np.uint8)
        return pixels, None
    image = load(file)
    if image.mode in ("P", "PA"):
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if image.mode == "PA":
            _check_alpha(file, np.asarray(image.getchannel("A")), 255)
            return np.asarray(image)[..., 0], palette
        return np.asarray(image), palette
    if image.mode in ("LA", "RGBA"):
        _check_alpha(file, np.asarray(image.getchannel("A")), 255)
        pixels = np.asarray(image)[..., :-1]
        return (pixels[..., 0] if image.mode == "LA" else pixels), None
    if image.mode in ("1", "L", "I", "F", "RGB") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        values, bits = values.astype(values.dtype.newbyteorder("=")), 8
        if file.kind == "png" and values.ndim == 2:
            bits = file.data[24]
        elif file.kind == "tiff" and values.ndim == 2:
            bits = file.opened.tag_v2.get(258, (1,))[0]
        if values.dtype == np.uint8 and bits < 8:  # Pillow has stretched it to 0-255
            values = values // (255 // (2**bits - 1))
        return values, None
    raise DataError(f"{file.name}: a mask in {image.mode} colours: save it as an indexed or grey PNG")


def _check_alpha(file: ImageFile, alpha: np.ndarray, opaque: int) -> None:
    if (alpha != opaque).any():
        raise DataError(
            f"{file.name}: the mask's alpha channel is not opaque throughout ({len(np.unique(alpha))} values): kseg "
            "cannot know whether it holds the classes: save the mask without alpha, as an indexed or grey PNG"
        )


def _whole_ids(name: str, values: np.ndarray) -> np.ndarray:
    """The values as uint8 ids, where they are whole numbers from 0 to 255."""
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.floor(values))).all():
        raise DataError(
            f"{name}: the mask holds fractions or no numbers at all, where class ids are expected"
        )
    if values.dtype not in (np.uint8, np.bool_):
        highest, lowest = values.max(), values.min()
        if lowest < 0 or highest > 255:
            wrong = int(lowest if lowest < 0 else highest)
            hint = f" (id {wrong // 257}, stretched to 16 bits?)" if wrong > 0 and wrong % 257 == 0 else ""
            raise DataError(
                f"{name}: class id {wrong} in the mask{hint}: ids are 0 to 254, and 255 is ignored"
            )
    return np.ascontiguousarray(values, dtype=np.uint8)


def _ids_of_grey(name: str, values: np.ndarray, colours: Colours, num_classes: int | None) -> np.ndarray:
    """A grey mask where colours are declared: its values are ids, or they are the declared greys."""
    ids = _whole_ids(name, values)
    used = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    declared = {colour[0]: label for colour, label in colours if len(set(colour)) == 1}
    num_classes = num_classes or 1 + max(
        (label for _, label in colours if label != IGNORE_LABEL), default=254
    )
    as_colours = all(int(value) in declared for value in used)
    as_ids = all(value < num_classes or value == IGNORE_LABEL for value in used)
    differ = [int(value) for value in used if as_colours and declared[int(value)] != value]
    if not as_colours and not as_ids:
        unknown = [int(value) for value in used if int(value) not in declared and num_classes <= value != 255]
        raise DataError(
            f"{name}: the grey values {', '.join(map(str, unknown[:5]))} are neither class ids (0 to "
            f"{num_classes - 1}) nor declared colours: correct the mask or the class list"
        )
    if not as_colours or not differ:
        return ids
    if as_ids and IGNORE_LABEL not in used:
        raise DataError(
            f"{name}: the grey values {', '.join(map(str, differ[:5]))} are class ids and declared colours of other "
            "classes at once: save the mask in RGB colours, or leave the colours out of the class list"
        )
    lookup = np.zeros(256, np.uint8)
    for value, label in declared.items():
        lookup[value] = label
    return lookup[ids]


def _ids_of_palette(name: str, indices: np.ndarray, palette: np.ndarray, colours: Colours) -> np.ndarray:
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if used[-1] >= len(palette):
        return _whole_ids(name, indices)  # without a colour, only the index can count
    shown = [tuple(map(int, palette[index])) for index in used]
    if colours:
        known = dict(colours)
        found = [known.get(colour) for colour in shown]
        if None not in found:
            lookup = np.zeros(256, np.uint8)
            lookup[used] = found
            return lookup[indices]
        decoration = all(label in (None, index) for index, label in zip(used, found, strict=True))
        if not decoration or all(label is None for label in found):
            voc, missing = colour_map(int(used[-1]) + 1), [c for c in shown if c not in known]
            # Two palettes are known to show ids: VOC's colours, and greys like the index.
            if shown not in ([voc[index] for index in used], [(int(index),) * 3 for index in used]):
                raise DataError(
                    f"{name}: an indexed mask with {len(missing)} colour(s) that belong to no class, such as "
                    f"{', '.join(map(str, missing[:5]))}: add them to the class list, or leave all colours out of it, "
                    "so that the indices count"
                )
        return _whole_ids(name, indices)
    greys = [colour[0] for colour in shown]
    dark = [grey for grey in greys if grey != IGNORE_LABEL]
    is_grey = all(len(set(colour)) == 1 for colour in shown) and len(set(greys)) == len(greys)
    # Black and white alone are how two indices are shown; with other ids between them, 255 is the ignored one.
    if is_grey and dark and max(dark) < _DARK and (dark == greys or max(dark) > 0):
        lookup = np.zeros(256, np.uint8)
        lookup[used] = greys
        return lookup[indices]
    return _whole_ids(name, indices)


def _ids_of_colours(name: str, pixels: np.ndarray, colours: Colours) -> np.ndarray:
    codes = pixels.astype(np.uint64) @ np.array([1 << 32, 1 << 16, 1], np.uint64)
    ids = np.full(codes.shape, -1, np.int32)
    for (red, green, blue), label in colours:
        ids[codes == (red << 32) + (green << 16) + blue] = label
    if (ids < 0).any():
        missing = np.unique(pixels[ids < 0], axis=0)
        examples = ", ".join(str(tuple(map(int, colour))) for colour in missing[:5])
        raise DataError(
            f"{name}: the mask has {len(missing)} colour(s) that belong to no class, such as {examples}: add them to "
            "the class list, or draw the mask without antialiasing"
        )
    return ids.astype(np.uint8)


def only_white(masks: Iterable[np.ndarray]) -> bool:
    """Whether masks hold 0 and 255 alone, and some 255: drawn in black and white. Read until one holds more."""
    white = False
    for mask in masks:
        present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
        if not np.isin(present, (0, 255)).all():
            return False
        white = white or 255 in present
    return white
