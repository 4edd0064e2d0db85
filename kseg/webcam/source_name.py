"""What `--source` may be: checked without importing anything, so that a mistake is reported at once."""

from __future__ import annotations

import re
from pathlib import Path

from kseg.errors import DataError, SettingsError

STREAM = re.compile(r"^(rtsp|rtmp|http|https|udp|tcp)://", re.IGNORECASE)


def check_source(text: str) -> None:
    """Refuse what cannot be a source of frames.

    Args:
        text: a camera's number, a video file, a folder of images, a stream's address, or "synthetic".

    Raises:
        SettingsError: nothing that could be a source.
        DataError: a file or folder that is not there.
    """
    if text == "synthetic" or re.fullmatch(r"\d+", text) or STREAM.match(text):
        return
    if re.fullmatch(r"-\d+", text):
        raise SettingsError(f"--source {text}: cameras are numbered from 0 on")
    if not (Path(text).is_dir() or Path(text).is_file()):
        raise DataError(
            f"--source {text}: no such file or folder; give a camera number, a video, a folder of images, a "
            "stream's address (rtsp://, http://), or synthetic"
        )
