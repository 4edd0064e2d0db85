"""Wrappers around a state dict."""

from pathlib import Path

import pytest

from kseg.errors import ModelError
from kseg.weights.reading.state import unwrap


class Tensor:
    pass


STATE = {"a.weight": Tensor(), "b.bias": Tensor()}
PREFIXED = {f"module.{key}": one for key, one in STATE.items()}


@pytest.mark.parametrize(
    ("tree", "wrappers"),
    [
        (STATE, ()),
        (PREFIXED, ("module.",)),
        ({f"_orig_mod.module.module.{key}": one for key, one in STATE.items()}, ("_orig_mod.", "module.", "module.")),
        ({"state_dict": STATE, "epoch": 3}, ("state_dict",)),
        ({"model": {"state_dict": PREFIXED}, "optimizer": {}}, ("model", "state_dict", "module.")),
        ({"state_dict": STATE, "best": Tensor(), "epoch": 1}, ("state_dict",)),
        ({**STATE, "note": "text"}, ()),
        ({"state_dict": STATE, "model": {"other": Tensor()}}, ("state_dict",)),
    ],
)
def test_wrappers(tree, wrappers):
    state, meta = unwrap(tree, Path("f.pth"), Tensor)
    assert list(state) == list(STATE)
    assert meta == {"wrappers": wrappers}


@pytest.mark.parametrize(
    "tree", [None, [], "text", {}, {"state_dict": {}}, {"state_dict": {"a": 1}}, {1: Tensor()}]
)
def test_nothing_in_it(tree):
    with pytest.raises(ModelError, match=r"f\.pth"):
        unwrap(tree, Path("f.pth"), Tensor)


def test_a_dict_that_holds_itself():
    tree = {}
    tree["state_dict"] = tree
    with pytest.raises(ModelError, match=r"f\.pth"):
        unwrap(tree, Path("f.pth"), Tensor)


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ({"CLASSES": ["a", "b"]}, {"classes": ("a", "b")}),
        ({"CLASSES": None, "PALETTE": [[1, 2, 3]]}, {"palette": ((1, 2, 3),)}),
        ({"dataset_meta": {"classes": ("a",), "palette": [(0, 0, 256)]}}, {"classes": ("a",)}),
        ({"CLASSES": [1, 2], "PALETTE": [[1, 2]]}, {}),
        ("text", {}),
    ],
)
def test_labels(meta, found):
    _, said = unwrap({"meta": meta, "state_dict": STATE}, Path("f.pth"), Tensor)
    assert {key: said[key] for key in ("classes", "palette") if key in said} == found
