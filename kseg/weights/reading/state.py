"""`unwrap`: the state dict inside of what a training program saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kseg.errors import ModelError

# What programs call the network's weights in a checkpoint, the usual first.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
)
_DEPTH = 4
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of `torch.compile`, any number of times


def unwrap(tree: Any, path: Path, tensor: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of a checkpoint by key, without wrappers around them, and what the file says about them.

    Args:
        tree: what the pickle holds.
        path: the file, for messages.
        tensor: the class of its tensors.

    Returns:
        Tensors by key, without a leading "module." or "_orig_mod." where all have it; and `meta`: "wrappers" (the keys
        that were looked through), and "classes" and "palette" where the file names them (OpenMMLab's files do).

    Raises:
        ModelError: no dict with tensors in it, or a whole Python object.
    """
    wrappers, outer = [], tree
    while True:
        if not isinstance(tree, dict):
            name, kind = getattr(tree, "name", None), type(tree).__name__.strip("_").lower()
            what = f"a whole Python object ({str(name)[:60]})" if name else f"a {kind}"
            raise ModelError(
                f"{path}: holds {what} rather than a state dict: save `model.state_dict()` in PyTorch and import that"
            )
        state = {key: one for key, one in tree.items() if isinstance(one, tensor) and isinstance(key, str)}
        inner = next((name for name in _WRAPPERS if _holds(tree.get(name), tensor)), None)
        if state and not (inner and len(state) < len(tree) / 2):
            break
        if inner is None or len(wrappers) == _DEPTH:
            keys = ", ".join(str(key)[:40] for key in list(tree)[:5]) or "none"
            raise ModelError(f"{path}: has no state dict with tensors in it; its keys are {keys}")
        wrappers.append(inner)
        tree = tree[inner]
    while prefix := next((one for one in _PREFIXES if all(key.startswith(one) for key in state)), None):
        state = {key.removeprefix(prefix): one for key, one in state.items()}
        wrappers.append(prefix)
    return state, {"wrappers": tuple(wrappers), **_labels(outer)}


def _holds(tree: Any, tensor: type) -> bool:
    """Whether this is a dict that has tensors, or a dict of tensors among a wrapper's names."""
    if not isinstance(tree, dict):
        return False
    inner = [tree[name] for name in _WRAPPERS if isinstance(tree.get(name), dict)]
    values = [*tree.values(), *(one for part in inner for one in part.values())]
    return any(isinstance(one, tensor) for one in values)


def _labels(outer: Any) -> dict[str, Any]:
    """Class names and colours of an OpenMMLab file: `meta.CLASSES` before version 1, then `dataset_meta`."""
    meta = outer.get("meta") if isinstance(outer, dict) else None
    places = [meta, meta.get("dataset_meta")] if isinstance(meta, dict) else []
    found = {}
    for place in (one for one in places if isinstance(one, dict)):
        classes, palette = (place.get(name.upper(), place.get(name)) for name in ("classes", "palette"))
        if isinstance(classes, (list, tuple)) and classes and all(isinstance(one, str) for one in classes):
            found["classes"] = tuple(classes)
        if (
            isinstance(palette, (list, tuple))
            and palette
            and all(isinstance(colour, (list, tuple)) and len(colour) == 3 for colour in palette)
            and all(type(value) is int and 0 <= value <= 255 for colour in palette for value in colour)
        ):
            found["palette"] = tuple(tuple(colour) for colour in palette)
    return found
