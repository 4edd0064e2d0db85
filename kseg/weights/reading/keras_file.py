"""`read_hdf5` and `read_keras`: weights that Keras saved, of any version."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.io.archive import UNREADABLE, check_archive, open_hdf5

_MEMBER = PRESET = "model.weights.h5"
_EXPANSION, _SMALL = 8, 64 << 20  # compressed weights are nearly as large as plain ones


def read_hdf5(path: Path, source: Any = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of an `.h5`, `.hdf5` or `.weights.h5` file.

    Args:
        path: the file.
        source: an open file to read instead; `path` then only names it in messages.

    Returns:
        Arrays by "<layer>/<variable>" where Keras 1 and 2 named the variables, and by "<layer>/<number>" for Keras 3,
        which counts them; where two layers have the same name, by their whole path in the file. And an empty dict.

    Raises:
        ModelError: not such a file, one that draws on other files, or claims to hold far more than its size.
    """
    import h5py

    with open_hdf5(path if source is None else source, path) as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        declared = sum((item.size or 0) * item.dtype.itemsize for item in found)
        if declared > max(_SMALL, _EXPANSION * file.id.get_filesize()):
            raise ModelError(f"{path}: claims to hold arrays of {declared:,} bytes; nothing was loaded")
        whole = {item.name.strip("/"): item for item in found if "optimizer" not in item.name.split("/")}
        short = []
        for item in whole.values():
            group, _, name = item.name.strip("/").rpartition("/")
            *_, outer, layer = ("", *group.split("/"))
            if layer == "vars":  # Keras 3: the group carries the layer's name
                short.append(f"{item.parent.attrs.get('name', outer)}/{name}")
            else:
                short.append(f"{layer}/{name.partition(':')[0]}")
        names = short if len(set(short)) == len(short) else list(whole)
        return {name: np.asarray(item) for name, item in zip(names, whole.values(), strict=True)}, {}


def read_keras(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a `.keras` file, named as `read_hdf5` does.

    Returns:
        The arrays, and `meta`: "class" of the model, and "package" under which it is registered, where it says so.
    """
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(_MEMBER)
            config = json.loads(archive.read("config.json")) if "config.json" in archive.namelist() else {}
    except (*UNREADABLE, RecursionError, NotImplementedError) as error:
        raise ModelError(f"{path}: not a readable Keras model file ({str(error)[:200]})") from None
    arrays, _ = read_hdf5(path, io.BytesIO(content))
    if not isinstance(config, dict):
        return arrays, {}
    names = str(config.get("registered_name")), str(config.get("module"))
    own = names[0].startswith("kseg>") or names[1].split(".")[0] == "kseg"
    return arrays, {"class": config.get("class_name"), **({"package": "kseg"} if own else {})}


def read_preset(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a KerasHub preset, a folder: those of its backbone, and of its task where it has one."""
    arrays, meta = read_hdf5(path / PRESET)
    task = path / "task.weights.h5"
    if task.is_file():
        own, _ = read_hdf5(task)
        both = sorted(arrays.keys() & own.keys())
        if both:
            raise ModelError(f"{path}: {PRESET} and {task.name} both have {both[0]}; nothing was loaded")
        arrays |= own
    return arrays, meta
