"""`read`: the arrays of any weights file that kseg knows, by what the file is and not by its name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.io.archive import read_npz
from kseg.weights.reading.caffemodel import read_caffemodel
from kseg.weights.reading.checkpoint import checkpoint_prefix, read_checkpoint
from kseg.weights.reading.frozen_graph import read_frozen_graph
from kseg.weights.reading.keras_file import PRESET, read_hdf5, read_keras, read_preset
from kseg.weights.reading.safetensors import read_safetensors
from kseg.weights.reading.torch_file import read_torch

_READERS = {
    "torch": read_torch,
    "safetensors": read_safetensors,
    "caffemodel": read_caffemodel,
    "npz": lambda path: (read_npz(path), {}),
    "hdf5": read_hdf5,
    "keras": read_keras,
    "preset": read_preset,
    "checkpoint": read_checkpoint,
    "frozen graph": read_frozen_graph,
}
_BY_SUFFIX = {
    ".pth": "torch",
    ".pt": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
    ".safetensors": "safetensors",
    ".caffemodel": "caffemodel",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".keras": "keras",
    ".pb": "frozen graph",
}


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays of a weights file. Nothing in the file is executed or imported.

    Knows PyTorch checkpoints (`.pth`, `.pt`, `.bin`: the zip container and the older stream), `.safetensors`,
    `.caffemodel`, `.npz`, Keras's `.h5`, `.weights.h5` and `.keras`, and TensorFlow's checkpoints, SavedModels and
    frozen graphs (`.pb`). PyTorch, TensorFlow, protobuf and pickle are not needed. Arrays are read-only views of the
    mapped file, but for `.npz` and Keras's files.

    Args:
        path: the file; of a TensorFlow checkpoint its prefix or one of its files; of a SavedModel or a KerasHub preset
            its folder.

    Returns:
        A dict from key to array, with the axes that the source gave them, and a dict of what else the file says:
        "format", and where it has them "classes" (a tuple of names), "palette" (a tuple of colours), "wrappers".

    Raises:
        ModelError: no such file, an unknown or damaged one, one that could run code, or one that claims to hold more
            than it does.

    Example:
        >>> np.savez("weights.npz", **{"decode_head.conv_seg.weight": np.zeros((19, 512, 1, 1), np.float32)})
        >>> arrays, meta = kseg.weights.read("weights.npz")
        >>> arrays["decode_head.conv_seg.weight"].shape
        (19, 512, 1, 1)
    """
    path = Path(path)
    kind = _kind(path)
    arrays, meta = _READERS[kind](path)
    return arrays, {"format": kind, **meta}


def _kind(path: Path) -> str:
    if checkpoint_prefix(path) is not None:
        return "checkpoint"
    if (path / PRESET).is_file():
        return "preset"
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file")
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    suffix = path.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if head.startswith(b"\x80"):
        return "torch"
    raise ModelError(
        f"{path}: not a kind of weights file that kseg reads: PyTorch (.pth, .pt, .bin), .safetensors, .caffemodel, "
        ".npz, .h5, .keras, or a TensorFlow checkpoint, SavedModel or frozen graph (.pb)"
    )


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: a zip archive that is damaged or was cut off ({str(error)[:200]})") from None
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if "model.weights.h5" in names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise ModelError(f"{path}: a zip archive, but of no kind of weights that kseg reads")
