"""Links of the file system: the files of a data set lie in its folder, or are not read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kseg.errors import DataError

ALLOWED = "KSEG_FOLLOW_LINKS"  # environment variable; 1 for data sets that are put together of links


def stay_inside(root: str | Path, paths: Iterable[Path | None]) -> None:
    """DataError for the first path that `..` or a link leads out of `root` (which may be a link itself).

    A data set that somebody else packed could otherwise name any file of this machine as an image or list. With
    `KSEG_FOLLOW_LINKS=1` in the environment links are followed wherever they lead.
    """
    if os.environ.get(ALLOWED) == "1":
        return
    home, folder = os.path.realpath(root), cache(os.path.realpath)
    for path in paths:
        if path is None:
            continue
        real = os.path.join(folder(path.parent), path.name)
        if os.path.islink(real):
            real = os.path.realpath(real)
        if real != home and not real.startswith(os.path.join(home, "")):
            raise DataError(
                f"{path}: leads out of the data set's folder, to {real}: copy the files below {root}, give as "
                f"root a folder that holds them too, or set {ALLOWED}=1 if you trust this data set's links"
            )
