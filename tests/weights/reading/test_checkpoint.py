"""TensorFlow's checkpoints, written by TensorFlow."""

import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.checkpoint import checkpoint_prefix, read_checkpoint

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow
AVERAGE = "conv/weights/ExponentialMovingAverage"


def write(folder, variables):
    """A checkpoint as TensorFlow 1 names its variables."""
    names = list(variables)
    tensors = [tf.constant(variables[name]) for name in names]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "m.ckpt"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(folder / "m.ckpt")],
        destination_prefix=str(folder / "model.ckpt-7"),
        delete_old_dirs=False,
    )
    return folder / "model.ckpt-7"


def test_variables_come_back_and_averages_stand_for_them(tmp_path):
    kernel = np.arange(6, dtype="f4").reshape(2, 3)
    path = write(tmp_path, {"conv/weights": kernel, AVERAGE: kernel + 1, "global_step": np.int64(7)})
    for given in (path, tmp_path / "model.ckpt-7.index", tmp_path / "model.ckpt-7.data-00000-of-00001"):
        arrays, _ = read_checkpoint(given)
        assert sorted(arrays) == ["conv/weights", "global_step"]
        np.testing.assert_array_equal(arrays["conv/weights"], kernel + 1)


def test_a_saved_model(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 3)])
    model.export(tmp_path / "saved", verbose=False)
    arrays, _ = read_checkpoint(tmp_path / "saved")
    kernel = np.asarray(model.layers[0].kernel)
    assert any(array.shape == kernel.shape and np.array_equal(array, kernel) for array in arrays.values())


def test_files_that_are_none(tmp_path):
    assert checkpoint_prefix(tmp_path / "x.ckpt") is None
    with pytest.raises(ModelError, match="not a TensorFlow checkpoint"):
        read_checkpoint(tmp_path)
    path = write(tmp_path, {"w": np.zeros(1000, "f4")})
    index, data = tmp_path / "model.ckpt-7.index", tmp_path / "model.ckpt-7.data-00000-of-00001"
    whole = index.read_bytes()
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match="model"):
        read_checkpoint(path)
    for content in (
        b"",
        b"nothing",
        whole[:20],
        whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 + 1 :],
    ):
        index.write_bytes(content)
        with pytest.raises(ModelError, match="model"):
            read_checkpoint(path)
