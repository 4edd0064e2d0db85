"""The safe reading of pickles, against Python's own pickler."""

import io
import pickle
from collections import OrderedDict
from fractions import Fraction

import pytest

from kseg.errors import ModelError
from kseg.weights.reading.pickles import Inert, Named, load_pickle


def loaded(content, calls=None, budget=1 << 20):
    return load_pickle(io.BytesIO(content), calls or {}, lambda identity: ("id", identity), budget, "f.pth")


VALUES = {
    "text": "naïve 語 🙂",
    "long text": "x" * 100_000,
    "whole": [0, -1, 255, 65536, -(1 << 40), 1 << 200],
    "real": [0.5, float("inf")],
    "others": (None, True, False, b"bytes"),
    "nested": {"a": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], 5: {"b": []}},
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_what_python_reads(protocol):
    values = {k: v for k, v in VALUES.items() if k != "others" or protocol > 2}
    assert loaded(pickle.dumps(values, protocol)) == values


@pytest.mark.parametrize("protocol", range(6))
def test_a_shared_list_is_read_as_one(protocol):
    inner = [1]
    tree = loaded(pickle.dumps({"a": inner, "b": inner}, protocol))
    assert tree["a"] is tree["b"]
    itself = []
    itself.append(itself)
    tree = loaded(pickle.dumps(itself, protocol))
    assert tree[0] is tree


@pytest.mark.parametrize("protocol", range(6))
def test_calls_are_answered_or_inert(protocol):
    calls = {"collections.OrderedDict": lambda *items: dict(items[0] if items else ())}
    assert loaded(pickle.dumps(OrderedDict(a=1, b=2), protocol), calls) == {"a": 1, "b": 2}
    assert isinstance(loaded(pickle.dumps(OrderedDict(a=1), protocol)), Inert)
    tree = loaded(pickle.dumps([pytest.approx], protocol))
    assert tree == [Named(f"{pytest.approx.__module__}.approx")]


def test_names_of_the_library_are_refused():
    for value in (Fraction(1, 2), open, io.BytesIO, print):
        with pytest.raises(ModelError, match="could run code"):
            loaded(pickle.dumps(value, 2))


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b".",
        b"N",
        b"NN.",
        b"0.",
        b"(.",
        b"t.",
        b"R.",
        b"h\x05.",
        b"}N(Nu.",
        b"\x82\x01.",
        b"\x97.",
        b"Pid\n.",
        b"cos\n.",
        b"\x8c\x05ab",
        b"I1x\n.",
        b"\xc9.",
    ],
)
def test_damage_is_one_sentence(code):
    with pytest.raises(ModelError, match=r"f\.pth: not a readable checkpoint"):
        loaded(code)


def test_a_budget_of_memory():
    with pytest.raises(ModelError, match="fill the memory"):
        loaded(b"\x80\x04" + b"]" * 1_000_000 + b".", budget=1000)
    assert len(loaded(pickle.dumps(["x"] * 100_000, 2), budget=1000)) == 100_000
