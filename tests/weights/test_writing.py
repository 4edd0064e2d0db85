"""The written model is checked, and its card says where it is from."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

import kseg
from kseg.errors import FileError, ModelError, SettingsError
from kseg.io.atomic import put_in_place
from kseg.weights import import_weights, write
from kseg.weights.writing import card, check_targets, sha256_of
from tests.weights.layouts.test_semseg import narrow_state


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "net.npz"
    np.savez(path, **narrow_state())
    return import_weights(path, classes=("a", "b", "c")), path


def test_model_and_card(imported, tmp_path):
    found, source = imported
    written = json.loads(json.dumps(write(found, source, tmp_path / "m.keras")))
    assert json.loads((tmp_path / "m.json").read_text()) == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.keras"]
    assert written["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest() == sha256_of(source)
    assert (written["source"], written["file"], written["licence"]) == ("semseg/pspnet", "net.npz", "MIT")
    assert written["settings"]["pool_scales"] == {"value": [1, 2, 3, 6], "from": "assumed"}
    assert written["score"] == written["protocol"] == "not known"
    assert written["classes"] == ["a", "b", "c"]
    assert written["left_out"] == ["aux.4.weight", "aux.4.bias"]
    assert kseg.models.load(tmp_path / "m.keras").classes == ("a", "b", "c")


def test_a_model_that_does_not_come_back_alike_is_not_kept(imported, tmp_path, monkeypatch):
    found, source = imported

    class Other:
        def __call__(self, image, training):
            return found.model(image, training=training) * 2

    monkeypatch.setattr("keras.saving.load_model", lambda *_, **__: Other())
    with pytest.raises(ModelError, match="differ"):
        write(found, source, tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_replaced(imported, tmp_path):
    found, source = imported
    (tmp_path / "m.json").write_text('{"mine": 1}')
    with pytest.raises(SettingsError, match=r"m\.json: the model's card would replace"):
        write(found, source, tmp_path / "m.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
    assert (tmp_path / "m.json").read_text() == '{"mine": 1}'
    own = tmp_path / "own.keras"
    own.write_bytes(source.read_bytes())
    with pytest.raises(SettingsError, match="the file that is read"):
        check_targets(own, own)
    for folder in ("d.keras", "e.json"):
        (tmp_path / folder).mkdir()
    for name in ("d.keras", "e.keras"):
        with pytest.raises(SettingsError, match="a folder"):
            check_targets(source, tmp_path / name)
    with pytest.raises(SettingsError, match="other than --out"):
        check_targets(source, tmp_path / "n.keras", tmp_path / "n.keras")
    with pytest.raises(ModelError, match="second head was not imported"):
        write(found, source, tmp_path / "n.keras", tmp_path / "o.keras")


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.full
def test_a_file_that_is_refused_leaves_all_as_it_was(imported, tmp_path, monkeypatch, earlier):
    found, source = imported
    if earlier:
        write(found, source, tmp_path / "m.keras")
        write(found, source, tmp_path / "m.keras")  # its own card may be replaced
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def refused(part, target):
        if target.suffix == ".keras":
            raise FileError(f"{target}: no space")
        put_in_place(part, target)

    monkeypatch.setattr("kseg.weights.writing.put_in_place", refused)
    with pytest.raises(FileError, match="no space"):
        write(replace(found, note="another"), source, tmp_path / "m.keras")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_another_ending(imported, tmp_path):
    with pytest.raises(ModelError, match=r"\.keras"):
        write(*imported, tmp_path / "m.h5")


def test_a_published_file_is_known_by_name_and_hash(imported, tmp_path):
    """A file that only has a published file's name gets none of its score."""
    found, source = imported
    named = tmp_path / "fcn_resnet50_coco-1167a1af.pth"
    named.write_bytes(source.read_bytes())
    assert card(found, named, tmp_path / "m.keras")["score"] == "not known"
    unnumbered = tmp_path / "fcn16s-heavy-pascal.caffemodel"
    unnumbered.write_bytes(b"")
    assert card(found, unnumbered, tmp_path / "m.keras")["score"].startswith("mean IoU 65.0 %")
