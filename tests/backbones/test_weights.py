import pickle
import tracemalloc
import urllib.error
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from kseg.backbones import weights
from kseg.errors import ModelError


def _network(width=2):
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, name="a"),
            layers.BatchNormalization(name="b"),
            layers.Conv2D(width, 4, name="fc6"),
        ],
        name="net",
    )


def _randomise(model, seed=1):
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(size=array.shape) for array in model.get_weights()])
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 2**-10)])
def test_npz_by_names(tmp_path, dtype, tolerance):
    model, twin = _randomise(_network()), _network()
    weights.save(model, tmp_path / "w.npz", dtype)
    with np.load(tmp_path / "w.npz") as file:
        assert {"a/kernel", "a/bias", "b/gamma", "b/moving_variance", "fc6/kernel"} < set(file.files)
    weights.load(twin, tmp_path / "w.npz")
    for ours, expected in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=tolerance)


def test_split_and_join():
    rng = np.random.default_rng(0)
    scales = 10.0 ** rng.uniform(-4, 3, 5000)
    values = np.append(rng.normal(size=5000) * scales, [0, 1, -1, 2**-5, 32000]).astype("float32")
    coarse, fine = weights.split(values)
    assert (coarse.dtype, fine.dtype) == (np.float16, np.int8)
    # Half of a 254th of float16's step, which is at most 2**-10 of the number, and 2**-24 for the smallest.
    bound = np.maximum(np.abs(values.astype(float)) * 2.0**-10, 2.0**-24) / 254 / 2 * 1.01
    assert (np.abs(weights.join(coarse, fine).astype(float) - values) <= bound).all()


def test_npz_of_split_kernels(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 3, name="conv")])
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 2)).astype("float32")
    coarse, fine = weights.split(kernel)
    arrays = {"conv/kernel": coarse, "conv/kernel.fine": fine, "conv/bias": np.float32([1, 2])}
    np.savez(tmp_path / "w.npz", **arrays)
    weights.load(model, tmp_path / "w.npz")
    np.testing.assert_allclose(model.layers[-1].kernel, kernel, rtol=3e-6)
    del arrays["conv/kernel"]
    np.savez(tmp_path / "half.npz", **arrays)
    with pytest.raises(ModelError, match=r"half\.npz"):
        weights.load(model, tmp_path / "half.npz")


def test_a_classifier_in_the_file_is_left_aside(tmp_path):
    model = _randomise(_network())
    weights.save(model, tmp_path / "w.npz", "float32")
    encoder = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="a")])
    weights.load(encoder, tmp_path / "w.npz")
    np.testing.assert_array_equal(encoder.layers[0].kernel, model.layers[0].kernel)


def test_weights_h5(tmp_path):
    model, twin = _randomise(_network()), _network()
    model.save_weights(tmp_path / "w.weights.h5")
    weights.load(twin, tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(twin.get_layer("fc6").kernel, model.get_layer("fc6").kernel)


def _write_classifier(path, prefix=None):
    """The layout of keras.applications' files: names in attributes, dense kernels for fc1."""
    generator = np.random.default_rng(0)
    saved = {
        "a": [generator.normal(size=(3, 3, 3, 4)), generator.normal(size=4)],
        "b": [generator.normal(size=4) for _ in range(4)],
        "flatten": [],
        "fc1": [generator.normal(size=(64, 2)), generator.normal(size=2)],
    }
    with h5py.File(path, "w") as file:
        group = file.create_group(prefix) if prefix else file
        group.attrs["layer_names"] = [name.encode() for name in saved]
        for name, arrays in saved.items():
            keys = [f"{name}_W_{index}:0" for index in range(len(arrays))]
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays, strict=True):
                inner[key] = array
    return saved


@pytest.mark.parametrize("prefix", [None, "model_weights"])
def test_keras_classifier_h5_gives_its_dense_layer_to_the_convolution(tmp_path, prefix):
    saved, model = _write_classifier(tmp_path / "vgg.h5", prefix), _network()
    weights.load(model, tmp_path / "vgg.h5")
    np.testing.assert_allclose(model.get_layer("a").bias, saved["a"][1], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("b").moving_variance, saved["b"][3], rtol=1e-6)
    features = np.random.default_rng(2).normal(size=(1, 4, 4, 4)).astype("float32")
    expected = features.reshape(1, -1) @ saved["fc1"][0] + saved["fc1"][1]  # flatten, then dense
    ours = np.asarray(model.get_layer("fc6")(features)).reshape(1, -1)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_file_that_does_not_fit_changes_nothing(tmp_path):
    weights.save(_randomise(_network(width=3)), tmp_path / "w.npz")
    model = _network()
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"w\.npz: fc6/kernel is \(4, 4, 4, 3\), net needs \(4, 4, 4, 2\)"):
        weights.load(model, tmp_path / "w.npz")
    for ours, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, expected)


def _truncated(path):
    weights.save(_network(), path)
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
        weights.load(_network(), tmp_path / name)


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
        _write_classifier(path)
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
        _network().save_weights(path)
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
    model = _network()
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
        _write_classifier(path)
        with h5py.File(path, "a") as file:
            file.attrs["layer_names"] = value
        with pytest.raises(ModelError, match=path.name):
            weights.load(_network(), path)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_without_network_the_way_out_is_named(keras_home, monkeypatch):
    def refuse(request, timeout):
        assert timeout <= 10
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(ModelError, match=r"weights=None or a local \.npz") as caught:
        weights.keras_vgg16_imagenet()
    assert str(keras_home) in str(caught.value)
    assert "vgg16_weights_tf_dim_ordering_tf_kernels.h5" in str(caught.value)


def test_a_cached_copy_needs_no_network_but_must_be_the_real_one(keras_home, monkeypatch):
    calls = []

    def get_file(name, origin, cache_subdir, file_hash, cache_dir):
        calls.append((name, origin, file_hash))
        return str(keras_home / "models" / name)

    def never(*args, **kwargs):
        raise AssertionError("asked the network")

    (keras_home / "models").mkdir()
    (keras_home / "models" / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").write_bytes(b"")
    monkeypatch.setattr("urllib.request.urlopen", never)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    assert weights.keras_vgg16_imagenet(include_dense=False).name.endswith("notop.h5")
    assert calls[0][2] == "6d6bbae143d832006294945121d1f1fc"


def test_names_and_hashes_are_those_of_keras_applications():
    source = keras.applications.VGG16.__code__.co_consts
    texts = [text for text in source if isinstance(text, str)]
    for name, md5 in weights._VGG16_FILES.values():
        assert name in texts
        assert md5 in texts
