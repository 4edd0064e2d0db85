"""Configs in Python are parsed and never executed."""

import pytest

from kseg.weights.reading.python_config import read_config


def test_plain_values():
    text = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder', pretrained=None,
    backbone=dict(strides=(1, 2, 1, 1), out_indices=[0, 1], eps=-1e-5),
    test_cfg={'mode': 'whole'})
"""
    assert read_config(text, "model") == {
        "type": "EncoderDecoder",
        "pretrained": None,
        "backbone": {"strides": (1, 2, 1, 1), "out_indices": [0, 1], "eps": -1e-5},
        "test_cfg": {"mode": "whole"},
    }
    assert read_config(text, "norm_cfg") == {"type": "SyncBN", "requires_grad": True}
    assert read_config(text, "other") is None


def test_a_name_that_was_assigned_before():
    text = "'''Notes.'''\nnorm = dict(type='BN')\nmodel = dict(norm_cfg=norm, head=dict(norm_cfg=norm))"
    norm = {"type": "BN"}
    assert read_config(text, "model") == {"norm_cfg": norm, "head": {"norm_cfg": norm}}


@pytest.mark.parametrize(
    "text",
    [
        "model = __import__('os').system('touch pwned')",
        "model = dict(a=open('x', 'w'))",
        "model = dict(**other)",
        "model = dict([1])",
        "model = {**other}",
        "model = {[1]: 2}",
        "model = name",
        "model = model",
        "a = (1, 1)\nmodel = (a,)\na = (2, 2)",
        "_base_ = ['a.py']\nmodel = dict(a=1)",
        "model = dict(a=1)\nmodel['a'] = 2",
        "model = dict(a=1)\nmodel.update(a=2)",
        "if True:\n    model = dict(a=1)",
        "a0 = 1\n" + "".join(f"a{i + 1} = (a{i}, a{i})\n" for i in range(60)) + "model = a60",
        "model = 'a' * 10**9",
        "model = (",
        "model = " + "(" * 3000 + "1" + ")" * 3000,
        "model = " + "-" * 100_000 + "1",
        "model = " + "1+" * 100_000 + "1",
        "model = a" + ".a" * 100_000,
        "model = 1" + " " * (1 << 18),
        "model = '\0'",
        None,
        3,
    ],
    ids=range(24),
)
def test_everything_else_is_none(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config(text, "model") is None
    assert list(tmp_path.iterdir()) == []
