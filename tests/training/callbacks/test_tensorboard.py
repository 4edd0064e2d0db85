"""TensorBoard's files, read back by TensorBoard's own reader."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import FileError, SettingsError
from kseg.training import SGD, TensorBoard


def test_scalars_and_pictures(network, val, tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    make_ndarray = pytest.importorskip("tensorboard.util.tensor_util").make_ndarray
    cv2 = pytest.importorskip("cv2")
    model = network()
    model.compile(SGD(0.25), "mse")
    follower = TensorBoard(tmp_path, val, samples=2)
    follower.set_model(model)
    follower.on_epoch_end(0, {"loss": 1.5})
    follower.on_epoch_end(1, {"loss": 1.25, "val_mean_iou": 0.5})

    events = reader.EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    loss = [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors("loss")]
    assert loss == [(1, 1.5), (2, 1.25)]
    (picture,) = events.Tensors("blocks4")  # spread over five samples: the first and the last
    encoded = np.frombuffer(make_ndarray(picture.tensor_proto)[2], "uint8")
    pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]
    image, labels = val.load(4)
    height, width = labels.shape
    assert pixels.shape == (height, 3 * width, 3)
    np.testing.assert_array_equal(pixels[:, :width], image)
    truth = np.array([*val.palette, (255, 255, 255)])[np.where(labels == 255, 3, labels)]
    np.testing.assert_array_equal(pixels[:, width : 2 * width], truth)
    predicted = np.asarray(model(image[None].astype("float32")))[0].argmax(-1)
    np.testing.assert_array_equal(pixels[:, 2 * width :], np.array(val.palette)[predicted])


def test_missing_tensorboard_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SettingsError, match="pip install tensorboard"):
        TensorBoard(tmp_path)


def test_files_that_cannot_be_written(network, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a file"):
        TensorBoard(tmp_path / "file")
    with pytest.raises(FileError, match="could not be written"):
        TensorBoard(tmp_path / "file" / "inside").on_train_begin()

    model, written = network(), []
    model.compile(SGD(0.25), "mse")
    callback = TensorBoard(tmp_path / "events")
    callback.set_model(model)
    callback.on_train_begin()

    def full(name, value):
        written.append(name)
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.summary, "scalar", full)
    callback.on_epoch_end(0, {"loss": 1.5})
    callback.on_epoch_end(1, {"loss": 1.5})
    assert len(written) == 1
    assert "No space left on device); the training goes on" in capsys.readouterr().err
