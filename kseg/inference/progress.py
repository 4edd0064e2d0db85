"""Progress of a part of the work, told as a fraction of the whole."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, int], None]


def within(progress: Progress | None, before: int, total: int) -> Progress | None:
    """What to give to the piece of work that follows `before` pieces of `total`.

    It tells `progress` the pieces done so far with a fraction. The end of the piece is not told: who counts the
    pieces does that. None gives None.
    """
    if progress is None:
        return None

    def part(done: float, of: int) -> None:
        if done < of:
            progress(before + done / of, total)

    return part
