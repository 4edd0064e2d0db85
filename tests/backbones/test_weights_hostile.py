"""Weight files that are broken, or made to harm."""

import pickle
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kseg.backbones import weights
from kseg.errors import ModelError
from tests.backbones.contracts import small_network, write_classifier


def _truncated(path):
    weights.save(small_network(), path)
    path.write_bytes(path.read_bytes()[:-200])


BROKEN = {
    "missing.npz": lambda path: None,
    "empty.npz": lambda path: path.write_bytes(b""),
    "text.npz": lambda path: path.write_text("no weights"),
    "array.npz": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "objects.npz": lambda path: np.savez(path, **{"a/kernel": np.array([{}], dtype=object)}),
    "truncated.npz": _truncated,
    "layerless.npz": lambda path: np.savez(path, **{"a/kernel": np.zeros((3, 3, 3, 4))}),
    "text.weights.h5": lambda path: path.write_text("no weights"),
    "text.h5": lambda path: path.write_text("no weights"),
    "other.h5": lambda path: h5py.File(path, "w").close(),
    "model.bin": lambda path: path.write_bytes(b"x"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_named(tmp_path, name):
    BROKEN[name](tmp_path / name)
    with pytest.raises(ModelError, match=name):
        weights.load(small_network(), tmp_path / name)


def _raw_npz(path, member, header, data=b"", compression=zipfile.ZIP_STORED):
    """An .npz of one member whose header says what the caller wants; NumPy itself writes no such file."""
    start = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(member, start + data)


def _described(shape, kind="<f4"):
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n"


class _Touch:
    """What a pickle calls when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _pickled(path):
    data = pickle.dumps(np.array([_Touch(path.with_name("code_ran"))], dtype=object))
    _raw_npz(path, "a/kernel.npy", _described((1,), "|O"), data)


def _bomb(path):
    _raw_npz(path, "a/kernel.npy", _described((17 << 20,)), bytes(68 << 20), zipfile.ZIP_DEFLATED)


def _leads_out(path):
    _raw_npz(path, "../a/kernel.npy", _described((1,)), bytes(4))


def _h5_with(name, **settings):
    """A classifier's file with one array of layer a replaced by another made with ``settings``."""

    def make(path):
        write_classifier(path)
        with h5py.File(path, "a") as file:
            del file["a/a_W_0:0"]
            if isinstance(settings.get("link"), str):
                file["a/a_W_0:0"] = h5py.ExternalLink(settings["link"], "/x")
            else:
                file["a"].create_dataset("a_W_0:0", **settings)

    make.__name__ = name
    return make


def _keras_h5(spoil):
    def make(path):
        small_network().save_weights(path)
        with h5py.File(path, "a") as file:
            variables = file["layers/conv2d/vars"]
            del variables["0"]
            spoil(variables)

    return make


HUGE = (1 << 20, 1 << 20)


HOSTILE = {
    "pickled.npz": (_pickled, "Python objects"),
    "promises.npz": (lambda path: _raw_npz(path, "a/kernel.npy", _described(HUGE)), "promises an array of 4,398,046"),
    "bomb.npz": (_bomb, "would unpack to 71,303,2"),
    "out.npz": (_leads_out, "leads out of the archive"),
    "new.npz": (lambda path: zipfile.ZipFile(path, "w").writestr("a", b"\x93NUMPY\7\0"), "version 7.0"),
    "text.npz": (lambda path: _raw_npz(path, "a/kernel.npy", "__import__('os').system('true')"), "not a readable"),
    "huge.h5": (_h5_with("huge", shape=HUGE, chunks=(1, 1 << 10)), "claim to hold arrays of 4,398,04"),
    "link.h5": (_h5_with("link", link="/etc/other.h5"), "link to another place"),
    "storage.h5": (
        _h5_with("storage", shape=(3, 3, 3, 4), dtype="u1", external=[("/etc/passwd", 0, 108)]),
        "lies in another file",
    ),
    "words.h5": (_h5_with("words", data=np.full((3, 3, 3, 4), b"x")), "holds no numbers"),
    "objects.h5": (_h5_with("objects", shape=(3, 3, 3, 4), dtype=h5py.ref_dtype), "holds no numbers"),
    "huge.weights.h5": (
        _keras_h5(lambda group: group.create_dataset("0", HUGE, chunks=(1, 1 << 10))),
        "claim to hold arrays of 4,398,04",
    ),
    "link.weights.h5": (
        _keras_h5(lambda group: group.__setitem__("0", h5py.ExternalLink("/etc/other.h5", "/x"))),
        "link to another place",
    ),
    "virtual.weights.h5": (
        _keras_h5(lambda group: group.create_virtual_dataset("0", _virtual())), "lies in another file",
    ),
}  # fmt: skip


def _virtual():
    layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (3, 3, 3, 4), "f4")
    return layout


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_before_anything_of_them_is_loaded(tmp_path, name):
    make, says = HOSTILE[name]
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 1 << 20
    model = small_network()
    before = model.get_weights()
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=says) as caught:
            weights.load(model, tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert str(tmp_path / name) in str(caught.value)
    assert not (tmp_path / "code_ran").exists()
    for ours, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_attributes_that_are_no_names(tmp_path):
    for number, value in enumerate([7, np.arange(3), [b"a", b"none"], np.float32(1)]):
        path = tmp_path / f"{number}.h5"
        write_classifier(path)
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = value
        with pytest.raises(ModelError, match=path.name):
            weights.load(small_network(), path)


@pytest.mark.parametrize("given", [3, True, ["a.npz"]])
def test_what_is_no_path(given):
    with pytest.raises(ModelError, match="expected None, 'imagenet' or a weights file"):
        weights.load(small_network(), given)
