"""The one way a file or a folder is written: under a short temporary name, to the disk, and then renamed.

Whoever reads finds the old content or the new, never half of it, also after a full disk, a kill or a power failure.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import platform
import re
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kseg.errors import FileError

# Machines that share a disk do not clear away each other's files.
HOST = f"{zlib.crc32(platform.node().encode(errors='replace')):08x}"
_NAME = re.compile(rf"\.kseg-{HOST}-(?P<process>\d+)-\d+\.(?P<kind>part|old)(\.\w+)?")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_numbers = itertools.count()
_in_use: set[Path] = set()


@contextmanager
def temporary_path(target: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `target` for a file or a folder; what lies there at the end is removed.

    Its name is short, begins with a dot and keeps the ending of `target`. What processes of this machine that were
    killed left in that folder is cleared away first.

    Args:
        target: the file or folder that will be written; its folder is made.

    Raises:
        FileError: the folder cannot be made.

    Example:
        ```python
        with temporary_path("model.tflite") as part, write_errors("model.tflite"):
            part.write_bytes(data)
            put_in_place(part, "model.tflite")
        ```
    """
    target = Path(target)
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target.parent)
    with _part(target) as part:
        yield part


def put_in_place(part: Path, target: str | Path) -> None:
    """Bring a finished file or folder to the disk and rename it to `target`, whose place it takes.

    An older folder steps aside first, and comes back should that fail.

    Raises:
        FileError: the system refuses; what was there before is untouched.
    """
    target = Path(target)
    with write_errors(target):
        if part.is_dir():
            for one in part.rglob("*"):
                sync(one)
        sync(part)
        if target.is_dir() and part.is_dir():  # a file never takes the place of a folder
            with _part(target, "old") as aside:
                aside.mkdir()
                old = aside / target.name  # here `clear_leftovers` finds its name again
                os.rename(target, old)
                try:
                    os.rename(part, target)
                except BaseException:
                    os.rename(old, target)
                    raise
        else:
            os.replace(part, target)
        sync(target.parent)


def write_bytes(target: str | Path, data: bytes | memoryview, make_folder: bool = True) -> None:
    """Write a file whole or not at all, and bring it to the disk.

    Args:
        target: the file; what it held is replaced. A pipe or a device is written to directly.
        data: its content.
        make_folder: whether the target's folder is made where there is none.

    Raises:
        FileError: the system refuses (a full disk, no permission); what was there before is untouched.
    """
    target = Path(target)
    with write_errors(target):
        kind = 0
        with suppress(OSError):  # it is not there yet, or the system will say what is wrong
            kind = stat.S_IFMT(target.stat().st_mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):  # /dev/stdout, a pipe
            target.write_bytes(data)
            return
        if make_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        with _part(target) as part:
            with open(part, "xb") as file:
                file.write(data)
            put_in_place(part, target)


def write_text(target: str | Path, text: str, make_folder: bool = True) -> None:
    """Write a text file as `write_bytes` does, in UTF-8; file names that are not UTF-8 get backslashes."""
    write_bytes(target, text.encode("utf-8", "backslashreplace"), make_folder)


def write_json(target: str | Path, content: Any) -> None:
    """Write a JSON file as `write_bytes` does."""
    write_text(target, json.dumps(content, indent=2) + "\n")


def clear_leftovers(folder: Path) -> None:
    """Remove what processes that were killed left in a folder; a folder that they had moved aside comes back."""
    with os.scandir(folder) as entries:
        found = [(Path(entry.path), match) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    for path, match in sorted(found):
        if path in _in_use or _runs(int(match["process"])):
            continue
        if match["kind"] == "old" and path.is_dir():
            for old in path.iterdir():
                if not (folder / old.name).exists():
                    with suppress(OSError):
                        os.rename(old, folder / old.name)
        with suppress(OSError):  # of another user
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows has no handle for it
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system without it
            raise
    finally:
        os.close(handle)


@contextmanager
def write_errors(target: str | Path) -> Iterator[None]:
    """Within it, the system's refusal to write becomes a `FileError` that names `target`."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of a pipe went away: no fault of a file
            raise
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        advice = "; make space and start again" if error.errno in _FULL else ""
        message = f"{target}: could not be written ({reason}); nothing was changed there{advice}"
        raise FileError(message, error) from error


@contextmanager
def _part(target: Path, kind: str = "part") -> Iterator[Path]:
    ending = target.suffix if re.fullmatch(r"\.\w{1,11}", target.suffix, re.ASCII) else ""
    name = f".kseg-{HOST}-{os.getpid()}-{next(_numbers)}.{kind}{ending if kind == 'part' else ''}"
    path = target.with_name(name)
    with suppress(OSError):  # of a process that had this number before
        remove(path)
    _in_use.add(path)
    try:
        yield path
    finally:
        with suppress(OSError):
            remove(path)
        _in_use.discard(path)


def _runs(process: int) -> bool:
    """Whether another process of this machine runs. On Windows, where asking would end it, every process counts."""
    if process == os.getpid():  # one that had this number before, as in a container
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
