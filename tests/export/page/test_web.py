import hashlib
import json
import os
import re

import keras
import numpy as np
import pytest

import kseg
from kseg.errors import KsegError, ModelError, SettingsError
from kseg.export.page import web as module


def images(count=4, size=(16, 24)):
    return list(np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8))


def test_everything_is_there_and_named(tmp_path, runtime, model):
    found = kseg.export.web(
        model, tmp_path / "site", size=(16, 24), calibration=images(), runtime=runtime, name="Streets"
    )
    site = tmp_path / "site"
    info = json.loads((site / "model.json").read_text())
    assert info["name"] == "Streets"
    assert info["size"] == [16, 24]
    assert info["classes"] == ["road", "sky", "tree"]
    assert info["palette"] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert list(info["files"]) == ["int8", "float16"]
    for precision, entry in info["files"].items():
        content = (site / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"] == found.sizes[precision]
        assert kseg.export.load(site / entry["file"]).size == (16, 24)
    assert found.parities["float16"].agreement > 0.99
    assert (site / info["runtime"]["folder"] / "litert_wasm_internal.wasm").is_file()
    headers = (site / "_headers").read_text()
    assert headers.startswith("/*\n  Cross-Origin-Opener-Policy: same-origin\n")
    on_disk = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert found.total == on_disk
    assert "float16" in found.table()
    json.dumps(found.to_json())


def test_no_address_of_another_host_in_the_page():
    folder = os.path.dirname(module.__file__)
    for name in module.PAGE:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found = re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"']*|["'(=]/[\w.]+""", file.read())
        assert not found, f"{name}: {found}"  # nor one from the root: the page works below a path


def test_every_static_file_is_part_of_the_page():
    static = {
        name
        for name in os.listdir(os.path.dirname(module.__file__))
        if name.endswith((".mjs", ".js", ".css", ".html"))
    }
    assert static == set(module.PAGE)


def test_an_exported_file_is_taken_as_it_is(tmp_path, runtime, model):
    kseg.export.tflite(model, tmp_path / "m.tflite", size=(8, 8))
    kseg.export.web(tmp_path / "m.tflite", tmp_path / "site", runtime=runtime)
    assert (tmp_path / "site" / "model_float32.tflite").read_bytes() == (tmp_path / "m.tflite").read_bytes()
    assert list(json.loads((tmp_path / "site" / "model.json").read_text())["files"]) == ["float32"]


def test_one_channel_becomes_two_classes(tmp_path, runtime):
    image = keras.Input((8, 8, 3))
    kseg.export.web(keras.Model(image, keras.layers.Conv2D(1, 1)(image)), tmp_path / "site", runtime=runtime)
    info = json.loads((tmp_path / "site" / "model.json").read_text())
    assert len(info["classes"]) == len(info["palette"]) == 2
    assert info["palette"][1] != [0, 0, 0]


@pytest.mark.parametrize("options", [{"dynamic": True}, {"size": (8, 8), "precision": "dynamic"}])
def test_files_that_browsers_do_not_run(tmp_path, runtime, model, options):
    kseg.export.tflite(model, tmp_path / "m.tflite", **options)
    with pytest.raises(ModelError, match=r"export the Keras model again, with --(size|precision)"):
        kseg.export.web(tmp_path / "m.tflite", tmp_path / "site", runtime=runtime)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tflite", "npm"]


def test_models_that_cannot_be_shown(tmp_path, runtime, model):
    with pytest.raises(SettingsError, match="--size H W"):
        kseg.export.web(model, tmp_path / "site", runtime=runtime)
    image = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="256 classes"):
        kseg.export.web(
            keras.Model(image, keras.layers.Conv2D(256, 1)(image)), tmp_path / "site", runtime=runtime
        )
    grey = keras.Input((8, 8, 1))
    with pytest.raises(ModelError, match="1 channels"):
        kseg.export.web(
            keras.Model(grey, keras.layers.Conv2D(2, 1)(grey)), tmp_path / "site", runtime=runtime
        )
    with pytest.raises(ModelError, match="expected a Keras model"):
        kseg.export.web(tmp_path / "none.tflite", tmp_path / "site", runtime=runtime)
    (tmp_path / "foreign.tflite").write_bytes(b"\0\0\0\0TFL3")
    with pytest.raises(ModelError, match="kseg did not write this file"):
        kseg.export.web(tmp_path / "foreign.tflite", tmp_path / "site", runtime=runtime)


def test_what_is_there_stays_unless_it_is_a_site(tmp_path, runtime, model):
    def export(**more):
        return kseg.export.web(model, tmp_path / "site", size=(8, 8), runtime=runtime, **more)

    (tmp_path / "site").mkdir()
    export()  # an empty folder is free
    with pytest.raises(SettingsError, match="--overwrite"):
        export()
    (tmp_path / "site" / "left.txt").write_text("from before")
    export(overwrite=True)
    assert not (tmp_path / "site" / "left.txt").exists()
    (tmp_path / "site" / "model.json").write_text("[]")
    with pytest.raises(SettingsError, match="not a kseg web page"):
        export(overwrite=True)
    assert (tmp_path / "site" / "index.html").exists()


def test_of_two_exports_at_once_the_first_stays(tmp_path, runtime, model, monkeypatch):
    written = module.litert_js.install

    def slower(*given):
        """Another process writes the same site while this one still works."""
        written(*given)
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "model.json").write_text('{"kseg": "the other"}')

    monkeypatch.setattr(module.litert_js, "install", slower)
    with pytest.raises(SettingsError, match="--overwrite"):
        kseg.export.web(model, tmp_path / "site", size=(8, 8), runtime=runtime)
    assert "the other" in (tmp_path / "site" / "model.json").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["npm", "site"]


def test_without_the_runtime_nothing_is_left(tmp_path, runtime, model):
    (runtime / "node_modules" / "@litertjs" / "wasm-utils" / "dist" / "index.js").unlink()
    with pytest.raises(SettingsError, match="npm pack"):
        kseg.export.web(model, tmp_path / "site", size=(8, 8), runtime=runtime)
    assert [path.name for path in tmp_path.iterdir()] == ["npm"]


def test_a_place_where_nothing_can_be_written(tmp_path, runtime, model):
    (tmp_path / "file").write_text("")
    with pytest.raises(KsegError, match="could not be written"):
        kseg.export.web(model, tmp_path / "file" / "site", size=(8, 8), runtime=runtime)
