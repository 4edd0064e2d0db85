"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, int], None]  # called with (done, in all); what is done may be a fraction


def within(progress: Progress | None, before: int, total: int) -> Progress | None:
    """What to give to the piece of work that follows `before` pieces of `total`.

    It calls `progress` with the pieces done so far, a fraction among them. The end of the piece is left to who counts
    the pieces. None gives None.
    """
    if progress is None:
        return None

    def part(done: float, of: int) -> None:
        if done < of:
            progress(before + done / of, total)

    return part
