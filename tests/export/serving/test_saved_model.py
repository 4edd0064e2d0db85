import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.errors import ModelError, SettingsError
from kseg.export.serving.saved_model import served_name


def test_layout_and_masks(net, pictures, tmp_path):
    base = tmp_path / "streets"
    parity = kseg.export.saved_model(net, base, size=(24, 36), version=3)
    assert parity.equal
    assert [folder.name for folder in base.iterdir() if folder.is_dir()] == ["3"]
    assert (base / "3" / "saved_model.pb").is_file()
    assert (base / "3" / "assets.extra" / "tf_serving_warmup_requests").is_file()
    assert 'name: "streets"' in (base / "models.config").read_text()
    loaded = tf.saved_model.load(str(base / "3"))
    assert set(loaded.signatures) == {"serving_default", "encoded"}
    batch = np.stack(pictures)
    mask = loaded.signatures["serving_default"](images=tf.constant(batch))["mask"]
    assert mask.shape == (3, 24, 36)
    assert (mask.numpy() == np.asarray(net(batch.astype("float32"))).argmax(-1)).mean() > 0.999
    found = kseg.export.load(base / "3")
    assert (found.size, found.metadata["output"]) == ((24, 36), "mask")
    np.testing.assert_array_equal(found(batch), mask)


@pytest.mark.full
def test_an_existing_version_stays_unless_overwritten(net, tmp_path):
    kseg.export.saved_model(net, tmp_path, size=(8, 8))
    before = (tmp_path / "1" / "saved_model.pb").read_bytes()
    with pytest.raises(SettingsError, match="exists"):
        kseg.export.saved_model(net, tmp_path, dtype="float32")
    assert (tmp_path / "1" / "saved_model.pb").read_bytes() == before
    kseg.export.saved_model(net, tmp_path, dtype="float32", overwrite=True)
    found = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    assert found.structured_input_signature[1]["images"] == tf.TensorSpec(
        (None, None, None, 3), name="images"
    )
    assert [folder.name for folder in tmp_path.iterdir() if folder.is_dir()] == ["1"]


def test_an_interrupted_export_leaves_nothing_that_a_server_would_take(net, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kseg.export.serving.saved_model.save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kseg.export.saved_model(net, tmp_path, size=(8, 8))
    assert list(tmp_path.iterdir()) == []


def test_settings(net, tmp_path):
    for wrong in ({"version": 0}, {"version": "2"}, {"version": True}, {"dtype": "int32"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            kseg.export.saved_model(net, tmp_path, **wrong)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="folder"):
        kseg.export.saved_model(net, tmp_path / "file")
    assert served_name(tmp_path / "my model: 2") == "my_model_2"
    assert served_name(tmp_path / "straße") == "stra_e"  # it is part of a URL


@pytest.mark.full
def test_free_sizes_of_a_model_that_works_at_one(net, tmp_path):
    net.working_size = (24, 36)
    kseg.export.saved_model(net, tmp_path / "fixed")
    kseg.export.saved_model(net, tmp_path / "free", dynamic=True)
    fixed, free = kseg.export.load(tmp_path / "fixed" / "1"), kseg.export.load(tmp_path / "free" / "1")
    assert (fixed.size, free.size) == ((24, 36), None)
    assert free.metadata["input"]["encoded_size"] == [24, 36]
    with pytest.raises(ModelError, match=r"takes images \(any, 24, 36, 3\)"):
        fixed(np.zeros((1, 5, 7, 3), np.uint8))
    assert free(np.zeros((1, 5, 7, 3), np.uint8)).shape == (1, 5, 7)


def test_a_layer_that_takes_no_free_sizes_is_told_in_a_sentence(tmp_path):
    """Keras's own bilinear enlargement cannot be traced with unknown sizes."""
    image = keras.Input((None, None, 3))
    small = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(2, 1)(image))
    net = keras.Model(image, keras.layers.UpSampling2D(2, interpolation="bilinear")(small), name="enlarged")
    for export, name in ((kseg.export.saved_model, "served"), (kseg.export.onnx, "x.onnx")):
        with pytest.raises(ModelError, match=r"'enlarged' cannot become a graph.*--size H W"):
            export(net, tmp_path / name)
    with pytest.raises(ModelError, match=r"'enlarged' cannot become a graph.*--size H W"):
        kseg.export.tflite(net, tmp_path / "x.tflite", dynamic=True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.full
def test_a_version_that_came_meanwhile_stays(net, tmp_path):
    def slow(_):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "other").write_text("of another export")
        return True

    with pytest.raises(SettingsError, match="exists"):
        kseg.export.saved_model(net, tmp_path, size=(8, 8), accept=slow)
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["other"]
