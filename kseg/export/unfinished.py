"""Exports on their way: written under a hidden name, renamed when done, cleared away where a process was killed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9]+", "", platform.node()) or "host"
_NAME = re.compile(rf"\.(?P<target>.+)\.{HOST}-(?P<process>\d+)\.(?P<kind>part|old)(\.\w+)?")


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A hidden path beside `target` to write to; what lies there afterwards, was not finished and is removed.

    The name begins with a dot and is no whole number, so that no server takes it for a version. What exports
    of this machine that were killed have left beside `target` is cleared away first; a version that they had
    moved aside comes back.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target.parent)
    part = _hidden(target, "part")
    remove(part)
    try:
        yield part
    finally:
        remove(part)


def put_in_place(part: Path, target: Path) -> None:
    """Rename a finished file or folder; an older folder steps aside first and comes back should that fail."""
    if not target.is_dir():
        os.replace(part, target)
        return
    old = _hidden(target, "old")
    remove(old)
    os.rename(target, old)
    try:
        os.rename(part, target)
    except BaseException:
        os.rename(old, target)
        raise
    remove(old)


def clear_leftovers(folder: Path) -> None:
    """Remove what exports have left whose process is gone; bring back a version that was moved aside."""
    for path in sorted(folder.glob(".*")):
        found = _NAME.fullmatch(path.name)
        if found is None or _runs(int(found["process"])):
            continue
        target = folder / found["target"]
        if found["kind"] == "old" and not target.exists():
            with suppress(OSError):
                os.rename(path, target)
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _hidden(target: Path, kind: str) -> Path:
    ending = target.suffix if target.suffix in (".tflite", ".onnx") else ""
    return target.with_name(f".{target.name}.{HOST}-{os.getpid()}.{kind}{ending}")


def _runs(process: int) -> bool:
    """Whether a process of this machine runs. On Windows, where asking would end it, every process counts."""
    if sys.platform == "win32" or process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
