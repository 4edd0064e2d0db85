"""The folder for what can be made again: proposals, drawn data, checks of model files."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(*parts: str) -> Path:
    """`$KSEG_CACHE`, else `~/.cache/kseg`, and the folder `parts` in it; it is not made."""
    return Path(os.environ.get("KSEG_CACHE") or Path.home() / ".cache" / "kseg", *parts)
