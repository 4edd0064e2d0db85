"""A folder of images and a folder of masks: the plainest labelled data set.

::

    ROOT/images/a.jpg  ROOT/masks/a.png            one split, "train", or
    ROOT/images/train/a.jpg  ROOT/masks/train/a.png  and the same below val/, test/, ...
    ROOT/channels.json                             of images not RGB: {"channels": 6, "value_range": [0, 65535]}
    ROOT/classes.txt                               optional: one class a line, "name" or "name R G B"

An image and its mask have the same name but for the ending; folders below a split are searched too. With colours in
the class list masks may be drawn in them; a line named `ignore` gives the colour of ignored pixels. Without a class
list the classes are numbered up to the highest id found in the masks, where every id from 1 up to it is found. A class
list of one class gets the background as class 0 in front. Classes that overlap have a folder of masks each, see
`kseg.data.sources.overlapping`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kseg.checks import value_range, whole
from kseg.data.class_list import class_names, find_class_list, mask_colours_of, named_colours, read_classes
from kseg.data.dataset import Dataset, Sample
from kseg.data.masks import count_classes, readable, white_as_class
from kseg.data.pairs import beside_splits, list_images, pair, require_files, split_folders, splits_of
from kseg.data.reading.layout import existing_folder
from kseg.data.reading.links import stay_inside
from kseg.data.sources.overlapping import class_folders, pair_by_class, refuse_unnamed_folders
from kseg.errors import DataError, KsegWarning
from kseg.io.bands import BAND_SUFFIXES, BYTES
from kseg.io.colour_map import default_palette
from kseg.io.image_file import MAX_PIXELS, SUFFIXES
from kseg.io.masks import only_white, read_mask
from kseg.io.regular import read_regular

IGNORE_LABEL = 255


def load_folder(
    root: str | Path, split: str = "train", complete: bool = True, max_pixels: int = MAX_PIXELS
) -> Dataset:
    """The split `split` of a folder pair; DataError says what was expected and is missing.

    A `KsegWarning` tells which files are left out, and why.
    """
    root = existing_folder(root, "images/ and masks/")
    class_list = find_class_list(root)
    images, masks = split_folders(root, split)
    if class_list is not None:
        names, colours = read_classes(class_list)
    else:
        refuse_unnamed_folders(images, masks)
        ids = ((str(path), read_mask(path, max_pixels)) for path in _all_masks(root))
        try:  # all masks of all splits, so that every split has the same classes
            names, colours = class_names(count_classes(ids, str(root / "masks")), root.name), {}
        except DataError as error:
            raise DataError(f"{error}; in a folder, name the classes in classes.txt, one a line") from None
    folders = class_folders(images, masks, names)
    if not folders:
        names, colours = with_background(names, colours)
    mask_colours = () if folders else mask_colours_of(names, colours)
    kind = read_channels(root)
    suffixes = BAND_SUFFIXES if kind else SUFFIXES
    samples = pair_by_class(images, folders, complete, suffixes) if folders else pair(images, masks, complete, suffixes)
    stored_ids = ()
    if class_list is not None:
        stored_ids = ids_of_two_values(root, 2 if folders else len(names), mask_colours, max_pixels)
    drawn = default_palette(len(names) + bool(folders))[bool(folders) :]  # black is no colour of an overlapping class
    palette = tuple(colours.get(name, colour) for name, colour in zip(names, drawn, strict=True))
    listed = [list_images(folder, suffixes=suffixes).left_out for folder in (images, *(folders or (masks,)))]
    left_out = [*sum(listed, ()), *beside_splits(root)]
    if left_out:
        reasons = "; ".join(map(str, left_out[:3])) + (
            f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        )
        warnings.warn(
            f"{root}: {len(samples)} images of {split!r} are used, and {len(left_out)} file(s) left out: {reasons}",
            KsegWarning,
            stacklevel=3,
        )
    return Dataset(
        root.resolve().name,
        split,
        names,
        palette,
        samples,
        stored_ids=stored_ids,
        mask_colours=mask_colours,
        multilabel=bool(folders),
        **kind,
    )


def with_background(
    names: tuple[str, ...], colours: dict[str, tuple[int, int, int]]
) -> tuple[tuple[str, ...], dict[str, tuple[int, int, int]]]:
    """The classes of a list and their colours; a list of one class, which all else is not, gets the background."""
    if len(names) != 1:
        return names, colours
    background = "not " + names[0] if names[0] == "background" else "background"
    drawn = {background: (0, 0, 0)} if colours and (0, 0, 0) not in colours.values() else {}
    return (background, *names), {**drawn, **colours}


def read_channels(root: Path) -> dict[str, Any]:
    """What a folder's `channels.json` says of its images; {} of a folder of RGB images, which has none.

    Raises:
        DataError: Anything but `channels`, a number, and `value_range`, two numbers.
    """
    path = root / "channels.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_regular(path, max_pixels=0))
        if not isinstance(found, dict) or set(found) - {"channels", "value_range"}:
            raise ValueError("other entries")
        return {"channels": whole(found["channels"], "channels"), "value_range": value_range(found["value_range"])}
    except (ValueError, KeyError, RecursionError) as error:
        raise DataError(
            f'{path}: expected {{"channels": 6, "value_range": [0, 65535]}} ({str(error)[:120]})'
        ) from None


def ids_of_two_values(
    root: Path, num_classes: int, mask_colours: tuple, max_pixels: int = MAX_PIXELS
) -> tuple[tuple[int, int], ...]:
    """`stored_ids` for declared classes: 255 is class 1 where all masks hold 0 and 255 alone and there are two.

    Masks are read until one holds another value, which in most data sets is the first.

    Raises:
        DataError: all masks hold 0 and 255 alone, and there are not two classes.
    """
    white = _only_white(_all_masks(root), num_classes, mask_colours, max_pixels)
    if white and num_classes != 2:
        raise DataError(
            f"{root / 'masks'}: the masks hold only 0 and 255, and 255 means ignored, but {num_classes} class(es) are "
            "declared: store the classes as 0, 1, 2, ..., or give their colours in classes.txt"
        )
    return ((255, 1),) if white else ()


def _only_white(masks: Iterable[Path], num_classes: int, mask_colours: tuple, max_pixels: int = MAX_PIXELS) -> bool:
    """Whether the masks hold 0 and 255 alone, and some 255."""
    if any(colour == (255, 255, 255) for colour, _ in mask_colours):
        return False
    read = partial(read_mask, max_pixels=max_pixels, colours=mask_colours, num_classes=num_classes)
    return only_white(readable(read, masks))


def _all_masks(root: Path) -> Iterator[Path]:
    """The masks of all splits; a split without masks (images to predict) has none and is no mistake here."""
    for folder in (split_folders(root, split)[1] for split in splits_of(root)):
        for paths in list_images(folder).files.values() if folder.is_dir() else ():
            stay_inside(root, paths)
            yield from paths


def from_pairs(
    images: str | Path | Sequence[str | Path],
    masks: str | Path | Sequence[str | Path],
    classes: Sequence[str] | int | str | Path | None = None,
    *,
    colours: Sequence[tuple[int, int, int] | str] | Mapping[str, tuple[int, int, int] | str] | None = None,
    name: str = "pairs",
    split: str = "train",
    ignore_label: int | None = None,
    channels: int = 3,
    value_range: tuple[float, float] = BYTES,
    multilabel: bool = False,
) -> Dataset:
    """A data set of image files and mask files, wherever they lie.

    Args:
        images, masks: two folders, whose files are paired by name; or two lists of the same length, in one order. Where
            classes overlap, the folder of masks may hold a folder for each class, and the list of masks a list of one
            file a class for each image. Of two classes 255 may be the second, as of `from_arrays`.
        classes: names; how many there are; or the path of a class list (see `read_classes`), with its colours. None:
            up to the highest id in the masks, which are read for it, where they have every id from 1 up to that.
        colours: the RGB colours that the masks are drawn in, one a class in their order, or by name (with `ignore` for
            ignored pixels), whose names are the classes unless they are given; numbers from 0 to 255, or texts such as
            "#ff8000". They are the palette too.
        name, split: for reports.
        ignore_label: the id of pixels that do not count; None: 255, where it is no class. 255 says that it is none.
        channels, value_range: of images that are not RGB of 0-255, such as (0, 65535); see `Dataset`.
        multilabel: classes overlap: a mask a class, or files of as many channels as there are classes, of 0 and 1; see
            `kseg.io.bands.read_bands`.

    Returns:
        A `Dataset`.

    Raises:
        DataError: A file is not there, numbers that differ, a class list that cannot be read.

    Example:

    ```python
    dataset = kseg.data.from_pairs("photos", "labels", classes=["road", "car"], colours=[(90, 90, 90), (0, 0, 200)])
    train, val = dataset.split(0.2, seed=0)
    ```
    """
    named: dict[str, tuple[int, int, int]] = {}
    if classes is None and isinstance(colours, Mapping):
        classes = [label for label in colours if label != "ignore"]
    if isinstance(classes, (str, Path)):
        classes, named = read_classes(classes)
    if classes is None and multilabel:
        raise DataError(f"{name}: name the classes that the channels of the masks stand for")
    if isinstance(images, (str, Path)) and isinstance(masks, (str, Path)):
        images, masks = (existing_folder(folder, "image files") for folder in (images, masks))
        rgb = (channels, tuple(value_range), multilabel) == (3, BYTES, False)
        suffixes = SUFFIXES if rgb else BAND_SUFFIXES
        named_folders = multilabel and isinstance(classes, Iterable)
        folders = class_folders(images, masks, list(classes)) if named_folders else ()
        samples = pair_by_class(images, folders, True, suffixes) if folders else pair(images, masks, True, suffixes)
    else:
        images, masks = list(images), list(masks)
        if len(images) != len(masks) or not images:
            raise DataError(f"{name}: {len(images)} images and {len(masks)} masks: expected as many of both")
        samples = tuple(Sample(image, mask) for image, mask in zip(images, masks, strict=True))
        require_files(samples, "the list of pairs")
    known = IGNORE_LABEL if ignore_label is None else ignore_label
    if classes is None:
        masks = ((str(sample.mask), read_mask(sample.mask)) for sample in samples)
        classes = count_classes(masks, name, known) if colours is None else len(colours)
    classes = class_names(classes, name)
    if colours is not None:
        named = named_colours(colours, classes, name)
    drawn = default_palette(len(classes) + multilabel)[multilabel:]
    palette = tuple(named.get(label, drawn[index]) for index, label in enumerate(classes))
    kind = {"channels": channels, "value_range": value_range, "multilabel": multilabel}
    kind["mask_colours"] = () if multilabel else mask_colours_of(classes, named)
    by_class = [path for sample in samples if isinstance(sample.mask, tuple) for path in sample.mask]
    if by_class and not multilabel:
        raise DataError(f"{name}: several masks an image are of classes that overlap: give multilabel=True")
    if ignore_label is None and _only_white(by_class, 2, ()):
        kind["stored_ids"] = ((255, 1),)
    dataset = Dataset(name, split, classes, palette, samples, known, **kind)
    if multilabel or named or ignore_label is not None:
        return dataset
    read = partial(read_mask, num_classes=len(classes))
    return white_as_class(readable(read, (sample.mask for sample in samples)), dataset)
