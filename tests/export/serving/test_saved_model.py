import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.errors import SettingsError
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
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kseg.export.graph.Module.save", interrupted)
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
