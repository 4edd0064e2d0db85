"""CVAT's export "Segmentation mask": masks in the colours of labelmap.txt."""

from __future__ import annotations

from pathlib import Path

from kseg.data.class_list import mask_colours_of, read_classes
from kseg.data.dataset import Dataset
from kseg.data.pairs import pair, require_files
from kseg.data.reading.layout import contents_of, existing_folder, inside, read_list
from kseg.errors import DataError
from kseg.io.colour_map import default_palette
from kseg.io.image_file import SUFFIXES


def from_cvat(
    root: str | Path,
    split: str = "default",
    *,
    images: str | Path | None = None,
    name: str = "cvat",
) -> Dataset:
    """Reads an export of CVAT in the format "Segmentation mask 1.1" (also Datumaro's and VOC's layout).

    Args:
        root: the folder with `labelmap.txt` and `SegmentationClass/`.
        split: a list in `ImageSets/Segmentation`; without that folder all masks are used.
        images: the folder of the images; default: `JPEGImages/` in `root`, which CVAT writes on request ("Save
            images").
        name: for reports.

    Returns:
        A `Dataset` with the classes of `labelmap.txt`, in its order.

    Raises:
        DataError: a file or folder that is not there, a colour that `labelmap.txt` does not have.

    Example:

    ```python
    dataset = kseg.data.from_cvat("task_7", images="photos")
    ```
    """
    root = existing_folder(root, "labelmap.txt and SegmentationClass/")
    masks = root / "SegmentationClass"
    if not (root / "labelmap.txt").is_file() or not masks.is_dir():
        raise DataError(
            f"{root}: expected labelmap.txt and SegmentationClass/, and found {contents_of(root)}: export the task as "
            '"Segmentation mask"'
        )
    names, colours = read_classes(root / "labelmap.txt")
    folder = existing_folder(
        root / "JPEGImages" if images is None else images, "the images (or give images=)"
    )
    samples = pair(folder, masks, complete=False)
    lists = root / "ImageSets" / "Segmentation"
    if lists.is_dir():
        path = inside(lists, f"{split}.txt", lists)
        if not path.is_file():
            there = ", ".join(sorted(one.stem for one in lists.glob("*.txt"))) or "none"
            raise DataError(f"{lists}: no list {split}.txt; found the lists {there}")
        listed = read_list(path, root)
        known = {sample.image.relative_to(folder).with_suffix("").as_posix(): sample for sample in samples}
        missing = [line for line in listed if line not in known]
        if missing:
            raise DataError(
                f"{folder / missing[0]}: no such image ({', '.join(SUFFIXES)}), though {path} names it"
            )
        samples = tuple(known[line] for line in listed)
    require_files(samples, root)
    drawn = default_palette(len(names))
    palette = tuple(colours.get(label, drawn[index]) for index, label in enumerate(names))
    return Dataset(name, split, names, palette, samples, mask_colours=mask_colours_of(names, colours))
