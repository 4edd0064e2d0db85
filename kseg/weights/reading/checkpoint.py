"""`read_checkpoint`: TensorFlow's checkpoints and SavedModels, through TensorFlow's own reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.weights.reading.views import MAX_ARRAYS

_AVERAGE = "/ExponentialMovingAverage"


def checkpoint_prefix(path: Path) -> Path | None:
    """The name that a checkpoint's files begin with; None where `path` belongs to no checkpoint.

    Args:
        path: a SavedModel's folder, a checkpoint's prefix ("model.ckpt-30000"), or one of its files.
    """
    if path.is_dir():
        path = path / "variables" / "variables"
    name = path.name
    if name.endswith((".index", ".meta")):
        path = path.with_suffix("")
    elif ".data-" in name:
        path = path.with_name(name.rpartition(".data-")[0])
    return path if path.with_name(f"{path.name}.index").is_file() else None


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variables of a TensorFlow checkpoint (V2) or a SavedModel. Its graph is neither read nor run.

    Args:
        path: as for `checkpoint_prefix`.

    Returns:
        Arrays by variable name. Where a variable has a moving average, that is what its name stands for. And an empty
        dict.

    Raises:
        ModelError: no checkpoint, a damaged one, or one that claims more than its files hold.
    """
    import tensorflow as tf

    prefix = checkpoint_prefix(path)
    if prefix is None:
        raise ModelError(
            f"{path}: not a TensorFlow checkpoint: expected NAME.index and NAME.data-00000-of-00001"
        )
    files = [file for file in prefix.parent.glob("*") if file.name.startswith(f"{prefix.name}.data-")]
    size = sum(file.stat().st_size for file in files)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        names = [name for name in shapes if dtypes[name] != tf.string and dtypes[name].size]
        declared = sum(math.prod(shapes[name]) * dtypes[name].size for name in names)
        if declared > size or len(names) > MAX_ARRAYS:
            raise ModelError(
                f"{path}: claims to hold {declared:,} bytes and has {size:,}; nothing was loaded"
            )
        averaged = {name.removesuffix(_AVERAGE) for name in names if name.endswith(_AVERAGE)}
        arrays = {
            name: np.asarray(reader.get_tensor(f"{name}{_AVERAGE}" if name in averaged else name))
            for name in names
            if not name.endswith(_AVERAGE) and not name.endswith("/.ATTRIBUTES/OBJECT_CONFIG_JSON")
        }
    except (tf.errors.OpError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"{path}: not a readable TensorFlow checkpoint ({reason})") from None
    return {name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE"): array for name, array in arrays.items()}, {}
