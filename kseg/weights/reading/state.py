"""`unwrap`: the state dict inside of what a training program saved."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kseg.errors import ModelError
from kseg.weights.reading.numpy_values import plain
from kseg.weights.reading.python_config import read_config

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
# Of DataParallel, of `torch.compile` and of Lightning's modules, any number of times.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "segmentor.")
# What stands beside a network in a training module: counters of its average, the images' statistics, losses, metrics.
_BESIDE = re.compile(
    r"n_averaged|steps?|(pixel_)?(mean|std)|(\w+_)?(loss|losses|criterion|criteria|metrics?)(_fn|_func|_function)?\b.*"
)


def unwrap(
    tree: Any, path: Path, tensor: type, part: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors of a checkpoint by key, without wrappers around them, and what the file says about them.

    Args:
        tree: what the pickle holds.
        path: the file, for messages.
        tensor: the class of its tensors.
        part: which of its dictionaries to take, or what the keys begin with; None takes the network's weights.

    Returns:
        Tensors by key, without a leading "module.", "model." and the like; and `meta`: "wrappers" (the keys that were
        looked through), "set_aside" (keys that are no network's), "parts" (the other dictionaries of tensors), and
        "classes", "palette" and "config" where the file has them (OpenMMLab's files do).

    Raises:
        ModelError: no dict with tensors in it, several of which none is the usual one, or a whole Python object.
    """
    wrappers, parts, outer = [], [], tree
    while True:
        if not isinstance(tree, dict):
            raise ModelError(f"{path}: holds {_kind(tree)} rather than a state dict; {_ADVICE}")
        state = {key: one for key, one in tree.items() if isinstance(one, tensor) and isinstance(key, str)}
        inner = [key for key, one in tree.items() if isinstance(key, str) and _holds(one, tensor)]
        chosen = part if part in inner else next((name for name in _WRAPPERS if name in inner), None)
        if state and not (chosen and (len(state) < len(tree) / 2 or chosen == part)):
            break
        if chosen is None and len(inner) == 1:  # such as "model_ema" alone
            chosen = inner[0]
        if chosen is None or len(wrappers) == _DEPTH:
            raise _without_state(tree, inner, path)
        parts += [name for name in inner if name != chosen]
        wrappers.append(chosen)
        part = None if chosen == part else part
        tree = tree[chosen]
    state, meta = without_prefixes(state)
    if part is not None:
        state, others = select(state, part, path, parts)
        meta["set_aside"] = (*meta.get("set_aside", ()), *others)
    meta["wrappers"] = (*wrappers, *meta["wrappers"])
    return state, {**meta, **({"parts": tuple(parts)} if parts else {}), **_labels(outer)}


_ADVICE = "save `model.state_dict()` in PyTorch and import that"


def _without_state(tree: dict, inner: list[str], path: Path) -> ModelError:
    if len(inner) > 1:
        named = ", ".join(name[:40] for name in inner[:8])
        return ModelError(
            f"{path}: has several dictionaries of tensors ({named}): say which with `part` (--part {inner[0][:40]})"
        )
    whole = next((name for name in _WRAPPERS if getattr(tree.get(name), "name", None)), None)
    if whole:
        return ModelError(f"{path}: its {whole} is {_kind(tree[whole])} rather than a state dict; {_ADVICE}")
    keys = ", ".join(str(key)[:40] for key in list(tree)[:5]) or "none"
    return ModelError(f"{path}: has no state dict with tensors in it; its keys are {keys}")


def _kind(tree: Any) -> str:
    name = getattr(tree, "name", None)
    return (
        f"a whole Python object ({str(name)[:60]})" if name else f"a {type(tree).__name__.strip('_').lower()}"
    )


def without_prefixes(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays without what all keys begin with, where a training program put it there.

    Returns:
        The arrays of the network; and "wrappers" (the prefixes), and "set_aside" where there are any: keys of counters,
        images' statistics, losses and metrics beside the network, and mmcv's second copies of a running average.
    """
    flat = {key.replace(".", "_"): key for key in state}
    aside = [key for key in state if key.startswith("ema_") and flat.get(key[4:], key) != key]
    state, wrappers = {key: one for key, one in state.items() if key not in set(aside)}, []
    while True:
        for prefix in _PREFIXES:
            outside = [key for key in state if not key.startswith(prefix)]
            if len(outside) < len(state) and all(_BESIDE.fullmatch(key) for key in outside):
                break
        else:
            break
        aside += outside
        state = {key.removeprefix(prefix): one for key, one in state.items() if key.startswith(prefix)}
        wrappers.append(prefix)
    return state, {"wrappers": tuple(wrappers), **({"set_aside": tuple(aside)} if aside else {})}


def select(
    arrays: Mapping[str, Any], part: str, path: Path, parts: Iterable[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arrays whose keys begin with `part` (without it), and the keys of the others.

    Raises:
        ModelError: no key does.
    """
    prefix = (
        part
        if part.endswith((".", "/"))
        else next((f"{part}{s}" for s in "./" if any(key.startswith(part + s) for key in arrays)), part)
    )
    chosen = {key.removeprefix(prefix): one for key, one in arrays.items() if key.startswith(prefix)}
    if not chosen or "" in chosen:
        firsts = dict.fromkeys([*parts, *(re.split("[./]", key)[0] for key in arrays)])
        raise ModelError(
            f"{path}: has no part {part!r}; its parts are {', '.join(one[:40] for one in list(firsts)[:12])}"
        )
    return chosen, tuple(key for key in arrays if not key.startswith(prefix))


def _holds(tree: Any, tensor: type) -> bool:
    """Whether this is a dict that has tensors, or a dict of tensors among a wrapper's names."""
    if not isinstance(tree, dict):
        return False
    inner = [tree[name] for name in _WRAPPERS if isinstance(tree.get(name), dict)]
    values = [*tree.values(), *(one for part in inner for one in part.values())]
    return any(isinstance(one, tensor) for one in values)


def _labels(outer: Any) -> dict[str, Any]:
    """Class names, colours and config of an OpenMMLab file: `meta.CLASSES` before version 1, then `dataset_meta`."""
    meta = outer.get("meta") if isinstance(outer, dict) else None
    places = [meta, meta.get("dataset_meta")] if isinstance(meta, dict) else []
    found = {}
    for place in (one for one in places if isinstance(one, dict)):
        classes, palette = (
            plain(place.get(name.upper(), place.get(name))) for name in ("classes", "palette")
        )
        if isinstance(classes, (list, tuple)) and classes and all(isinstance(one, str) for one in classes):
            found["classes"] = tuple(classes)
        if (
            isinstance(palette, (list, tuple))
            and palette
            and all(isinstance(colour, (list, tuple)) and len(colour) == 3 for colour in palette)
            and all(type(value) in (int, float) and value in range(256) for colour in palette for value in colour)
        ):
            found["palette"] = tuple(tuple(map(int, colour)) for colour in palette)
        text = place.get("config", place.get("cfg"))
        model = read_config(text, "model")
        if isinstance(model, dict):
            images = {name: read_config(text, name) for name in ("data_preprocessor", "img_norm_cfg")}
            found["config"] = {name: one for name, one in images.items() if one} | model
        elif text:
            found["config_unread"] = True
    return found
