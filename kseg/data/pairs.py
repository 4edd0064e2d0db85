"""Images and their masks in two folders: which belong together, and why the others are left out."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kseg.errors import DataError
from kseg.io.image_file import SUFFIXES, image_kind

# Endings of images that kseg does not read, and of arrays that others use for masks.
_OTHER_IMAGES = {
    *(
        ".heic",
        ".heif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".jxl",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".exr",
        ".hdr",
    ),
    *(
        ".tga",
        ".psd",
        ".svg",
        ".ico",
        ".cr2",
        ".nef",
        ".arw",
        ".dng",
        ".raw",
        ".dcm",
        ".nii",
        ".npy",
        ".npz",
        ".mat",
    ),
}
_OF_SYSTEMS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN"}


@dataclass(frozen=True)
class Sample:
    """One image and its mask, as files.

    Args:
        image: path of the image.
        mask: path of the mask; where classes overlap also a tuple of one mask a class, in their order.
        name: name for reports; if empty, the image's file name without its ending.

    Example:

    >>> from pathlib import Path
    >>> kseg.data.Sample(Path("a.jpg"), Path("a.png")).mask.name
    'a.png'
    """

    image: Path
    mask: Path | tuple[Path, ...] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", Path(self.image))
        if isinstance(self.mask, (tuple, list)):
            object.__setattr__(self, "mask", tuple(map(Path, self.mask)))
        elif self.mask is not None:
            object.__setattr__(self, "mask", Path(self.mask))

    @property
    def masks(self) -> tuple[Path, ...]:
        """All files of its mask; none where it has no mask."""
        return self.mask if isinstance(self.mask, tuple) else () if self.mask is None else (self.mask,)


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used, and why."""

    file: Path
    why: str
    kind: str = "left out"

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


@dataclass(frozen=True)
class Listing:
    """The image files of a folder and its subfolders by their path without ending, and what else lies there."""

    folder: Path
    files: dict[str, list[Path]]
    left_out: tuple[LeftOut, ...]

    @property
    def twins(self) -> list[tuple[Path, Path]]:
        """Files of the same name but for the ending."""
        return [(paths[0], paths[1]) for paths in self.files.values() if len(paths) > 1]


def list_images(folder: Path, *, deep: bool = True, suffixes: Sequence[str] = SUFFIXES) -> Listing:
    """The images in a folder, sorted; hidden files and other programs' own folders are passed over."""
    files: dict[str, list[Path]] = {}
    left_out = []
    for path in sorted(_walk(folder, deep)):
        suffix = path.suffix.lower()
        if suffix in suffixes and not path.is_dir():
            files.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
        elif path.is_dir():
            why = (
                "a link to a folder, which is not followed"
                if path.is_symlink()
                else "a folder with an image's name"
            )
            left_out.append(LeftOut(path, why))
        elif suffix in _OTHER_IMAGES:
            left_out.append(LeftOut(path, f"kseg does not read {suffix} files: save it as PNG"))
        elif path.is_file():
            with contextlib.suppress(OSError), open(path, "rb") as file:
                if image_kind(file.read(16)) is not None:
                    why = f"an image without one of the endings {', '.join(SUFFIXES)}: rename it"
                    left_out.append(LeftOut(path, why))
    return Listing(folder, files, tuple(left_out))


def _walk(folder: Path, deep: bool) -> Iterator[Path]:
    """Files of a folder and, if `deep`, of those below it; folders only where they look like files or are links."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _OF_SYSTEMS]
        for name in folders:
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES or (deep and path.is_symlink()):
                yield path
        yield from (Path(place, name) for name in names if not name.startswith("."))
        if not deep:
            return


def split_folders(root: Path, split: str) -> tuple[Path, Path]:
    """The folders of the images and of the masks of one split."""
    splits = splits_of(root)
    if split not in splits:
        raise DataError(f"{root / 'images'}: no split {split!r}; found {', '.join(splits)}")
    if (root / "images" / split).is_dir():
        return root / "images" / split, root / "masks" / split
    return root / "images", root / "masks"


def splits_of(root: Path) -> list[str]:
    """The splits below `images/`; a folder without subfolders is one split, "train"."""
    for part in ("images", "masks"):
        if not (root / part).is_dir():
            found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
            raise DataError(f"{root}: expected the folders images/ and masks/, and found {found}")
    names = (entry.name for entry in (root / "images").iterdir() if entry.is_dir())
    hidden = (".", *_OF_SYSTEMS)
    found = [name for name in names if not name.startswith(hidden) and not name.lower().endswith(SUFFIXES)]
    return sorted(found) or ["train"]


def beside_splits(root: Path) -> tuple[LeftOut, ...]:
    """Files of `images/` and `masks/` that lie in no split: beside the split folders, or in masks of no split."""
    splits, found = splits_of(root), []
    if not (root / "images" / splits[0]).is_dir():
        return ()
    names = ", ".join(splits)
    for part in ("images", "masks"):
        for paths in list_images(root / part, deep=False).files.values():
            why = f"beside the split folders ({names}): it belongs to no split: move it into one"
            found += [LeftOut(path, why, "no split") for path in paths]
    for entry in sorted((root / "masks").iterdir()):
        if entry.is_dir() and entry.name not in splits and not entry.name.startswith((".", *_OF_SYSTEMS)):
            why = f"a folder of masks, but images/ has no folder {entry.name}"
            found.append(LeftOut(entry, why, "no image"))
    return tuple(found)


def pair(
    images: Path, masks: Path, complete: bool = True, suffixes: Sequence[str] = SUFFIXES
) -> tuple[Sample, ...]:
    """Every image with its mask, also in subfolders.

    Args:
        images, masks: folders; an image and its mask have the same path below them but for the ending.
        complete: a missing mask is an error; else it is left for the reader to find (`kseg.data.check` wants all).
        suffixes: endings of the files.

    Raises:
        DataError: No image, an image without a mask, or two files of one name; names the first.
    """
    if not masks.is_dir():
        raise DataError(f"{masks}: the folder does not exist; expected the masks of the images in {images}")
    found, labelled = list_images(images, suffixes=suffixes), list_images(masks, suffixes=suffixes)
    if not found.files:
        raise DataError(f"{images}: no images found; expected files ending in {', '.join(suffixes)}")
    for one, other in (*found.twins, *labelled.twins):
        raise DataError(f"{one} and {other.name}: two files of the same name: remove or rename one")
    missing = without_mask(found, labelled)
    if missing and complete:
        more = f" (and {len(missing) - 1} more images without a mask)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]}{more}")
    return pairs_of(found, labelled, complete)


def pairs_of(found: Listing, labelled: Listing, complete: bool = True) -> tuple[Sample, ...]:
    """The samples of two listings; without `complete` also those whose mask is missing."""
    keys = [key for key in found.files if not complete or key in labelled.files]
    if complete:
        keys = [key for key in found.files if key in labelled.files]
    return tuple(
        Sample(
            found.files[key][0],
            labelled.files[key][0] if key in labelled.files else labelled.folder / f"{key}.png",
            key.replace("/", "_") if "/" in key else None,
        )
        for key in keys
    )


def without_mask(found: Listing, labelled: Listing) -> tuple[LeftOut, ...]:
    """The images that have no mask, each with the nearest name among the masks that have no image."""
    spare = [key for key in labelled.files if key not in found.files]
    by_case = {key.casefold(): key for key in spare}
    missing = []
    for key, paths in found.files.items():
        if key in labelled.files:
            continue
        stem = key.rpartition("/")[2]
        near = by_case.get(key.casefold()) or next((one for one in spare if stem in one), None)
        near = near or next(iter(difflib.get_close_matches(key, spare, 1, 0.8)), None)
        hint = (
            f"; {labelled.files[near][0].name} is near: the names must be equal but for the ending"
            if near
            else ""
        )
        why = f"no mask found; expected {labelled.folder / key}.png{hint}"
        missing.append(LeftOut(paths[0], why, "no mask"))
    return tuple(missing)


def without_image(found: Listing, labelled: Listing) -> tuple[LeftOut, ...]:
    """The masks that have no image."""
    suffixes = [paths[0].suffix for paths in found.files.values()]
    usual = max(suffixes, key=suffixes.count, default="")
    return tuple(
        LeftOut(paths[0], f"a mask without an image; expected {found.folder / key}{usual}", "no image")
        for key, paths in labelled.files.items()
        if key not in found.files
    )


def require_files(samples: Sequence[Sample], source: Path | str) -> None:
    """DataError that names the first image or mask that does not exist, and says how many more there are."""
    missing = [
        path
        for sample in samples
        for path in (sample.image, *sample.masks)
        if not os.path.isfile(path)  # False for names that are too long
    ]
    if missing:
        more = f" (and {len(missing) - 1} more files)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]}: no such file, though {source} names it{more}")
