"""Model files from others, whose runtimes trust them: opened once in a process of its own first.

LiteRT and onnxruntime believe what a file says about itself; a damaged `.tflite` file can end the whole program by
corrupting its memory. Here the crash happens to a child process. A file that ran there is remembered by its checksum.
This finds files that crash. It is no wall against one that is made to take over a process.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from kseg.errors import KsegError, ModelError
from kseg.io.atomic import write_bytes
from kseg.io.cache import cache_folder

RUNTIMES = {
    ".tflite": ("tflite", "ai-edge-litert", "LiteRT"),
    ".onnx": ("onnx", "onnxruntime", "onnxruntime"),
}
SECONDS = 120  # in which a file must have run once


def check_runs(path: str | Path, size: tuple[int, int] | None = None, seconds: float = SECONDS) -> None:
    """Refuse a `.tflite` or `.onnx` file that crashes its runtime.

    What the runtime itself refuses without a crash is left to be reported where the file is opened.

    Args:
        path: the file; one with another ending is not looked at.
        size: (height, width) to run it at, where it leaves them open.
        seconds: in which it must have run once.

    Raises:
        ModelError: the file ends its runtime by a crash, or it does not finish.
    """
    path = Path(path)
    if path.suffix.lower() not in RUNTIMES or not path.is_file():
        return
    kind, package, name = RUNTIMES[path.suffix.lower()]
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    version = "none"
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version(package)
    known = cache_folder("ran") / f"{package}-{version}-{digest}"  # this version ran this file
    if known.is_file():
        return
    memory = 0  # that the child may take: all that the machine has; 0 where that is not known
    with suppress(AttributeError, OSError, ValueError):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    settings = {"path": [p for p in sys.path if p], "memory": memory, "size": list(size or (64, 64))}
    command = [sys.executable, str(Path(__file__).with_name("trial.py")), kind, str(path)]
    try:
        ran = subprocess.run(
            command, input=json.dumps(settings).encode(), capture_output=True, timeout=seconds, check=False
        )
        code, said = ran.returncode, ran.stdout.decode(errors="replace").strip()
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"{path}: {name} did not finish one image within {seconds:g} s in a process of its own; a file of your own "
            "can be opened without this (--trust)"
        ) from None
    if code == 0:
        with suppress(KsegError, OSError):  # a home that cannot be written to: checked again the next time
            known.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(known, b"")
    elif code in (1, 2):
        if re.search("bad_alloc|[Mm]emory|alloc", said):
            raise ModelError(
                f"{path}: {name} would need more memory than there is for this file: {said[:200]}"
            )
    else:
        ending = f"exit code {code}"
        with suppress(ValueError):  # the code of no signal
            ending = signal.Signals(-code).name
        raise ModelError(
            f"{path}: {name} crashed ({ending}) when it ran this file in a process of its own: the file is "
            "damaged, or made to do harm; it was not opened here"
        )


def source_of(path: str | Path) -> str | bytes:
    """A file as runtimes take it: its path, or its content where the name is not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Path(path).read_bytes()
    return str(path)


