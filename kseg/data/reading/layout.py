"""Finding a data set's folder and reading its lists, with messages that say what was expected and found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from kseg.data.reading.links import stay_inside
from kseg.errors import DataError
from kseg.io.archive import leads_out
from kseg.io.regular import read_regular


def existing_folder(root: str | Path | None, holds: str) -> Path:
    """`root` as a path, or a DataError that says what it should hold."""
    if root is None:
        raise DataError(f"this data set needs its folder: give root, the folder that holds {holds}")
    root = Path(root)
    if not os.path.isdir(root):  # False for names that are too long, where pathlib raises
        found = "is a file" if os.path.exists(root) else "does not exist"
        raise DataError(f"{root}: the folder {found}; expected a folder that holds {holds}")
    return root


def locate(root: str | Path | None, below: Sequence[str], signs: Sequence[str], expected: str) -> Path:
    """The folder that holds all of `signs`: `root`, or one of `below` in it.

    Args:
        root: the folder given by the user.
        below: names that the data set's own folder commonly has.
        signs: folders that tell the data set.
        expected: the layout in words, for the message.

    Raises:
        DataError: none of them does; it says what was expected and what lies there.
    """
    root = existing_folder(root, expected)
    folders = [root, *(root / name for name in below if (root / name).is_dir())]
    for folder in folders:
        if all((folder / sign).is_dir() for sign in signs):
            return folder
    nearest = folders[-1]
    missing = ", ".join(f"{sign}/" for sign in signs if not (nearest / sign).is_dir())
    raise DataError(
        f"{nearest}: no folder {missing}; expected {expected}, and found {contents_of(nearest)}: give as root "
        "the folder that holds them"
    )


def contents_of(folder: Path) -> str:
    """The first names in a folder, for messages."""
    names = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir() if entry.name[0] != ".")
    return ", ".join([*names[:8], *(["..."] if len(names) > 8 else [])]) or "nothing"


def check_split(name: str, split: str, splits: Sequence[str]) -> None:
    """DataError where a data set has no such split."""
    if split not in splits:
        raise DataError(f"{name} has no split {split!r}; it has {', '.join(splits)}")


def read_list(path: Path, root: Path) -> list[str]:
    """The lines of a list file that are neither empty nor comments (#); no link may lead it out of `root`."""
    if not os.path.lexists(path):
        raise DataError(f"{path}: no such list")
    stay_inside(root, [path])
    try:
        text = read_regular(path, max_pixels=0).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: the list cannot be read ({error}); expected a text with one name a line"
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError(f"{path}: the list is empty")
    return lines


def inside(root: Path, entry: str, source: Path) -> Path:
    """`root / entry`, where a list `source` names `entry`; DataError where that leads out of `root`."""
    if leads_out(entry):
        raise DataError(
            f"{source}: {entry!r} leads out of {root}; a list names files below its data set's folder"
        )
    return root.joinpath(*PurePosixPath(entry.replace("\\", "/")).parts)
