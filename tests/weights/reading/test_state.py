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
        (
            {f"_orig_mod.module.module.{key}": one for key, one in STATE.items()},
            ("_orig_mod.", "module.", "module."),
        ),
        ({"state_dict": STATE, "epoch": 3}, ("state_dict",)),
        (
            {"model": {"state_dict": PREFIXED}, "optimizer": {}, "epoch": 1},
            ("model", "state_dict", "module."),
        ),
        ({"state_dict": STATE, "best": Tensor(), "epoch": 1}, ("state_dict",)),
        ({**STATE, "note": "text"}, ()),
        ({"state_dict": STATE, "model": {"other": Tensor()}}, ("state_dict",)),
    ],
)
def test_wrappers(tree, wrappers):
    state, meta = unwrap(tree, Path("f.pth"), Tensor)
    assert list(state) == list(STATE)
    assert meta == {"wrappers": wrappers} | (
        {"parts": ("model",)} if len(tree) == 2 and "model" in tree else {}
    )


@pytest.mark.parametrize(
    ("tree", "wrappers", "aside"),
    [
        ({f"model.{key}": one for key, one in STATE.items()}, ("model.",), ()),
        (
            {
                **{f"model.{key}": one for key, one in STATE.items()},
                "mean": Tensor(),
                "loss_fn.weight": Tensor(),
            },
            ("model.",),
            ("mean", "loss_fn.weight"),
        ),
        ({"n_averaged": Tensor(), **PREFIXED}, ("module.",), ("n_averaged",)),
        ({"model_ema": PREFIXED, "epoch": 1}, ("model_ema", "module."), ()),
        ({"ema": STATE}, ("ema",), ()),
        ({"state_dict_ema": STATE, "arch": "x"}, ("state_dict_ema",), ()),
        ({"state_dict": {**STATE, "ema_a_weight": Tensor()}}, ("state_dict",), ("ema_a_weight",)),
    ],
)
def test_what_stands_around_and_beside_a_network(tree, wrappers, aside):
    state, meta = unwrap(tree, Path("f.pth"), Tensor)
    assert list(state) == list(STATE)
    assert (meta["wrappers"], meta.get("set_aside", ())) == (wrappers, aside)


def test_other_keys_stop_a_prefix_from_being_looked_through():
    tree = {"model.a": Tensor(), "neck.b": Tensor()}
    assert unwrap(tree, Path("f.pth"), Tensor)[0] == tree


def test_several_dictionaries_ask_which():
    tree = {"generator": STATE, "discriminator": {"c": Tensor()}}
    with pytest.raises(ModelError, match=r"several dictionaries.*generator, discriminator.*--part"):
        unwrap(tree, Path("f.pth"), Tensor)
    state, meta = unwrap(tree, Path("f.pth"), Tensor, "discriminator")
    assert list(state) == ["c"]
    assert meta["parts"] == ("generator",)
    assert list(
        unwrap({"model": STATE, "model_ema": PREFIXED}, Path("f.pth"), Tensor, "model_ema")[0]
    ) == list(STATE)


def test_numpy_palette_and_config():
    meta = {"PALETTE": [[1.0, 2.0, 3.0]], "config": "model = dict(a=1)\nimg_norm_cfg = dict(to_rgb=True)"}
    _, said = unwrap({"meta": meta, "state_dict": STATE}, Path("f.pth"), Tensor)
    assert said["palette"] == ((1, 2, 3),)
    assert said["config"] == {"a": 1, "img_norm_cfg": {"to_rgb": True}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("images = dict(mean=[1, 2, 3])\nmodel = dict(a=1)\ndata_preprocessor = images", {"mean": [1, 2, 3]}),
        (
            "data_preprocessor = dict(mean=[1])\nmodel = dict(a=1, data_preprocessor=dict(mean=[2]))",
            {"mean": [2]},
        ),
        ("_base_ = 'a.py'\nmodel = dict(a=1)", None),
    ],
)
def test_images_beside_the_model_and_a_config_that_cannot_be_read(text, found):
    _, said = unwrap({"meta": {"cfg": text}, "state_dict": STATE}, Path("f.pth"), Tensor)
    if found is None:
        assert said["config_unread"]
        assert "config" not in said
    else:
        assert said["config"] == {"a": 1, "data_preprocessor": found}


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
