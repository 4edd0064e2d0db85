import urllib.error

import keras
import numpy as np
import pytest
from keras import layers

from kseg.backbones import weights
from kseg.errors import ModelError
from tests.backbones.contracts import small_network, write_classifier


def _randomise(model, seed=1):
    generator = np.random.default_rng(seed)
    model.set_weights([generator.normal(size=array.shape) for array in model.get_weights()])
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 2**-10)])
def test_npz_by_names(tmp_path, dtype, tolerance):
    model, twin = _randomise(small_network()), small_network()
    weights.save(model, tmp_path / "w.npz", dtype)
    with np.load(tmp_path / "w.npz") as file:
        assert {"a/kernel", "a/bias", "b/gamma", "b/moving_variance", "fc6/kernel"} < set(file.files)
    weights.load(twin, tmp_path / "w.npz")
    for ours, expected in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=tolerance)


def test_a_classifier_in_the_file_is_left_aside(tmp_path):
    model = _randomise(small_network())
    weights.save(model, tmp_path / "w.npz", "float32")
    encoder = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="a")])
    weights.load(encoder, tmp_path / "w.npz")
    np.testing.assert_array_equal(encoder.layers[0].kernel, model.layers[0].kernel)


def test_weights_h5(tmp_path):
    model, twin = _randomise(small_network()), small_network()
    model.save_weights(tmp_path / "w.weights.h5")
    weights.load(twin, tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(twin.get_layer("fc6").kernel, model.get_layer("fc6").kernel)


@pytest.mark.parametrize("prefix", [None, "model_weights"])
def test_keras_classifier_h5_gives_its_dense_layer_to_the_convolution(tmp_path, prefix):
    saved, model = write_classifier(tmp_path / "vgg.h5", prefix), small_network()
    weights.load(model, tmp_path / "vgg.h5")
    np.testing.assert_allclose(model.get_layer("a").bias, saved["a"][1], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("b").moving_variance, saved["b"][3], rtol=1e-6)
    features = np.random.default_rng(2).normal(size=(1, 4, 4, 4)).astype("float32")
    expected = features.reshape(1, -1) @ saved["fc1"][0] + saved["fc1"][1]  # flatten, then dense
    ours = np.asarray(model.get_layer("fc6")(features)).reshape(1, -1)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_a_file_that_does_not_fit_changes_nothing(tmp_path):
    weights.save(_randomise(small_network(width=3)), tmp_path / "w.npz")
    model = small_network()
    before = model.get_weights()
    with pytest.raises(ModelError, match=r"w\.npz: fc6/kernel is \(4, 4, 4, 3\), net needs \(4, 4, 4, 2\)"):
        weights.load(model, tmp_path / "w.npz")
    for ours, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, expected)


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
