"""Reading a file whole that somebody else packed: no device, no pipe, nothing larger than a picture can be."""

from __future__ import annotations

import stat
from pathlib import Path

from kseg.errors import DataError

SPARE_BYTES = 64 << 20  # for what a picture file holds besides pixels


def read_regular(path: Path, max_pixels: int) -> bytes:
    """The bytes of a regular file that is not larger than a picture can be: 16 bits, four channels.

    Raises:
        DataError: no such file, one that cannot be read, a folder, pipe or device, or a larger one.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: cannot be read: not a regular file, so no picture")
        if status.st_size > 8 * max_pixels + SPARE_BYTES:
            raise DataError(
                f"{path}: {status.st_size:,} bytes are more than a picture of {max_pixels:,} pixels needs: not read"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a name with a zero byte
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
