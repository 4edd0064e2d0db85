"""Keras's files, written by Keras and, for its older versions, by h5py."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.keras_file import read_hdf5, read_keras


@pytest.fixture
def model():
    chain = [
        keras.Input((4, 4, 3)),
        keras.layers.Conv2D(2, 3, name="stem"),
        keras.layers.BatchNormalization(name="bn"),
    ]
    return keras.Sequential(chain)


def test_keras_3(model, tmp_path):
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    for arrays, meta in (read_keras(tmp_path / "m.keras"), read_hdf5(tmp_path / "m.weights.h5")):
        assert sorted(arrays) == ["bn/0", "bn/1", "bn/2", "bn/3", "stem/0", "stem/1"]
        np.testing.assert_array_equal(arrays["stem/0"], model.get_layer("stem").kernel)
        assert meta in ({}, {"class": "Sequential"})


def test_keras_2(tmp_path):
    kernel = np.arange(6, dtype="f4").reshape(2, 3)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names"] = [b"fc1"]
        file["fc1/fc1/kernel:0"] = kernel
        file["fc1/fc1/bias:0"] = kernel[0]
    arrays, _ = read_hdf5(tmp_path / "m.h5")
    assert sorted(arrays) == ["fc1/bias", "fc1/kernel"]
    np.testing.assert_array_equal(arrays["fc1/kernel"], kernel)


def test_the_same_name_twice_takes_whole_paths(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a/conv/kernel:0"] = file["b/conv/kernel:0"] = np.zeros(2)
    assert sorted(read_hdf5(tmp_path / "m.h5")[0]) == ["a/conv/kernel:0", "b/conv/kernel:0"]


def test_links_and_lies_are_refused(tmp_path):
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["there"] = h5py.ExternalLink("/etc/passwd", "/")
    with h5py.File(tmp_path / "zeros.h5", "w") as file:
        file.create_dataset("w", (1 << 28,), "f4", chunks=(1 << 20,), compression="gzip")
    (tmp_path / "text.h5").write_text("nothing")
    for name in ("linked", "zeros", "text"):
        with pytest.raises(ModelError, match=rf"{name}\.h5"):
            read_hdf5(tmp_path / f"{name}.h5")


def test_archives_that_are_none(tmp_path):
    path = tmp_path / "m.keras"
    for members in ({}, {"model.weights.h5": b"no HDF5"}, {"../model.weights.h5": b""}):
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(ModelError, match=r"m\.keras"):
            read_keras(path)
    path.write_bytes(io.BytesIO(b"PK").getvalue())
    with pytest.raises(ModelError, match=r"m\.keras"):
        read_keras(path)
