"""Reading a file whole that somebody else packed: no device, no pipe, nothing larger than an image can be."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kseg.errors import DataError

SPARE_BYTES = 64 << 20  # for what an image file holds besides pixels


def read_regular(path: Path, max_pixels: int) -> bytes:
    """The bytes of a regular file that is not larger than an image can be: 16 bits, four channels.

    With `max_pixels` 0, a list or another text of up to 64 MiB.

    Raises:
        DataError: no such file, one that cannot be read, a folder, pipe or device, or a larger one.
    """
    size = regular_size(path)
    if size > 8 * max_pixels + SPARE_BYTES:
        needs = f"an image of {max_pixels:,} pixels" if max_pixels else "a list or text"
        raise DataError(f"{path}: {size:,} bytes are more than {needs} needs: not read")
    with read_errors(path):
        return path.read_bytes()


def regular_size(path: Path) -> int:
    """The number of bytes of a regular file; DataError as `read_regular`."""
    with read_errors(path):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: cannot be read: not a regular file")
    return status.st_size


@contextmanager
def read_errors(path: str | Path) -> Iterator[None]:
    """Within it, the system's refusal to read becomes a DataError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a name with a zero byte
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
