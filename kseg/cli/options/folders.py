"""Folders that a verb makes for its results: one that stays empty goes again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove ``folder`` at the end if it was not there before and nothing is in it, as after a mistake."""
    existed = folder.exists()
    try:
        yield
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # it holds results, or was never made
                folder.rmdir()
