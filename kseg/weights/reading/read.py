"""`read`: the arrays of any weights file that kseg knows, by what the file is and not by its name."""

from __future__ import annotations

import json
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
from kseg.weights.reading.state import select, without_prefixes
from kseg.weights.reading.torch_file import read_torch

_READERS = {
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


# What programs that keep PyTorch's keys write besides `torch.save`.
_LIKE_TORCH = ("safetensors", "npz")
_CONFIG, _LONGEST = "config.json", 1 << 20


def read(path: str | os.PathLike, part: str | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays of a weights file. Nothing in the file is executed or imported.

    Knows PyTorch checkpoints (`.pth`, `.pt`, `.bin`: the zip container and the older stream), `.safetensors`,
    `.caffemodel`, `.npz`, Keras's `.h5`, `.weights.h5` and `.keras`, and TensorFlow's checkpoints, SavedModels and
    frozen graphs (`.pb`). PyTorch, TensorFlow, protobuf and pickle are not needed. Arrays are read-only views of the
    mapped file, but for `.npz` and Keras's files.

    Args:
        path: the file; of a TensorFlow checkpoint its prefix or one of its files; of a SavedModel or a KerasHub preset
            its folder.
        part: take only this dictionary of a PyTorch checkpoint (such as "model_ema"), or only the arrays whose keys
            begin with this (such as "backbone"), without it. None takes the network's weights.

    Returns:
        A dict from key to array, with the axes that the source gave them, and a dict of what else the file says:
        "format", and where it has them "classes" (a tuple of names), "palette" (a tuple of colours), "wrappers" (what
        stood around the weights), "set_aside" (keys that are no network's), "parts" (other dictionaries of tensors),
        "config" (of the network, from the file or from the `config.json` beside a `.safetensors` or `.bin` file).

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
    if kind == "torch":
        arrays, meta = read_torch(path, part)
    else:
        arrays, meta = _READERS[kind](path)
        if kind in _LIKE_TORCH:
            arrays, found = without_prefixes(arrays)
            meta |= {name: value for name, value in found.items() if value}
        if part is not None:
            arrays, others = select(arrays, part, path)
            meta["set_aside"] = (*meta.get("set_aside", ()), *others)
    if path.suffix.lower() in (".safetensors", ".bin") and "config" not in meta:
        config = _config_beside(path)
        meta |= {"config": config} if config else {}
    return arrays, {"format": kind, **meta}


def _config_beside(path: Path) -> dict[str, Any] | None:
    """What `save_pretrained` writes beside the weights: JSON, which is only parsed."""
    file = path.with_name(_CONFIG)
    try:
        if not file.is_file() or file.stat().st_size > _LONGEST:
            return None
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _kind(path: Path) -> str:
    if checkpoint_prefix(path) is not None:
        return "checkpoint"
    if (path / PRESET).is_file():
        return "preset"
    if path.is_dir():
        names = os.listdir(path) if os.access(path, os.R_OK) else []
        inside = sorted(name for name in names if Path(name).suffix.lower() in _BY_SUFFIX)
        has = (
            f"it has {', '.join(inside[:5])}: give one of these" if inside else "and none of its files is one"
        )
        raise ModelError(f"{path}: a folder, and not a weights file; {has}")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file")
    if path.stat().st_size == 0:
        raise ModelError(f"{path}: an empty file (0 bytes): it was never written or its download broke off")
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
        raise ModelError(
            f"{path}: a zip archive that is damaged or was cut off ({str(error)[:200]})"
        ) from None
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "torch"
    if "model.weights.h5" in names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise ModelError(f"{path}: a zip archive, but of no kind of weights that kseg reads")
