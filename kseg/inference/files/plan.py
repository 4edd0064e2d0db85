"""Which files each image becomes: names that differ, fit the file system and take no other image's place."""

from __future__ import annotations

import itertools
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from kseg.errors import SettingsError
from kseg.io.origin import is_whole, place_of, read_origin

LONGEST_NAME = 255  # bytes of a file name


@dataclass(frozen=True)
class Job:
    """One image and the files it becomes; `overlay` is None where none is wanted, `note` a warning to give with it."""

    image: Path
    mask: Path
    overlay: Path | None
    note: str = ""

    def done(self, made_by: str) -> bool:
        """Whether the files are whole, were made of this image as it is now, and by the same means."""
        origin = read_origin(self.mask)
        if origin is None or not origin.is_of(self.image) or origin.made_by != made_by:
            return False
        if not is_whole(self.mask, origin.size):
            return False
        return self.overlay is None or (read_origin(self.overlay) == origin and is_whole(self.overlay))


def plan(images: Sequence[Path], out: str | Path, overlay: bool = True) -> list[Job]:
    """Which files each image becomes; names depend on all images together, not on their order.

    Raises:
        SettingsError: an output would overwrite an input.
    """
    out, names = Path(out), _distinct_names(images)
    jobs, taken = [], {name.casefold() for name in names}
    for image, name in zip(images, names, strict=True):
        free, note = _free_name(image, name, out, taken), ""
        if free != name:
            taken.add(free.casefold())
            note = (
                f"{_shortened(name, '.png')} in {out} belongs to another image; this one becomes {free}.png"
            )
        mask, drawn = (out / _shortened(free, ending) for ending in (".png", "_overlay.jpg"))
        jobs.append(Job(image, mask, drawn if overlay else None, note))
    sources = {image.resolve() for image in images}
    for job in jobs:
        for target in (job.mask, job.overlay):
            if target is not None and target.resolve() in sources:
                raise SettingsError(
                    f"{target}: the result would overwrite this input image: choose another folder"
                )
    return jobs


def _distinct_names(images: Sequence[Path]) -> list[str]:
    """The stem where it is the only one; else with the ending, the folder, or at last a number."""
    paths = [image.resolve() for image in images]
    candidates = [
        lambda path: path.stem,
        lambda path: f"{path.stem}_{path.suffix[1:].lower()}",
        lambda path: f"{path.parent.name}_{path.stem}",
        lambda path: f"{path.parent.name}_{path.stem}_{path.suffix[1:].lower()}",
    ]
    names: dict[Path, str] = {}
    for candidate in candidates:
        left = [path for path in paths if path not in names]
        taken = Counter(name.casefold() for name in names.values())  # file systems that ignore case
        taken.update(candidate(path).casefold() for path in left)
        names.update({path: candidate(path) for path in left if taken[candidate(path).casefold()] == 1})
    for path in sorted(path for path in paths if path not in names):
        used, number = {name.casefold() for name in names.values()}, 2
        while f"{path.stem}_{number}".casefold() in used:
            number += 1
        names[path] = f"{path.stem}_{number}"
    return [names[path] for path in paths]


def _free_name(image: Path, name: str, out: Path, taken: set[str]) -> str:
    """`name`, or another where `out` holds a mask of that name that was made of another image."""
    path = image.resolve()
    wider = f"{path.parent.name}_{path.stem}"
    names = [name, f"{path.stem}_{path.suffix[1:].lower()}", wider, f"{wider}_{path.suffix[1:].lower()}"]
    numbered = (f"{path.stem}_{number}" for number in itertools.count(2))
    for one in itertools.chain(names, numbered):
        if one != name and one.casefold() in taken:
            continue
        mask = out / _shortened(one, ".png")
        origin = read_origin(mask)
        if (
            not mask.exists()
            or mask.resolve() == path
            or (origin is None and one == name and not _is_foreign(mask, path))
        ):
            return one
        if origin is not None and (origin.place == place_of(path) or origin.is_of(path)):
            return one
    raise AssertionError  # numbers do not end


def _is_foreign(mask: Path, image: Path) -> bool:
    """Whether a file without a record is no mask of ours: a photo, or a labelled mask beside its image."""
    if not is_whole(mask):
        return False
    with Image.open(mask) as file:
        return len(file.getbands()) > 1 or mask.resolve().parent == image.parent


def _shortened(name: str, ending: str) -> str:
    """A file name that file systems take: a long one is cut, and a checksum keeps it apart from others."""
    if len(os.fsencode(name + ending)) <= LONGEST_NAME:
        return name + ending
    ending = f"~{zlib.crc32(os.fsencode(name)):08x}{ending}"
    while len(os.fsencode(name + ending)) > LONGEST_NAME:
        name = name[:-1]
    return name + ending
