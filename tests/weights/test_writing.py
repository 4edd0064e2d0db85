"""The written model is checked, and its card says where it is from."""

import hashlib
import json

import numpy as np
import pytest

import kseg
from kseg.errors import ModelError
from kseg.weights import import_weights, write
from kseg.weights.writing import card, sha256_of
from tests.weights.layouts.test_semseg import narrow_state


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "net.npz"
    np.savez(path, **narrow_state())
    return import_weights(path, classes=("a", "b", "c")), path


def test_model_and_card(imported, tmp_path):
    found, source = imported
    written = write(found, source, tmp_path / "m.keras")
    assert json.loads((tmp_path / "m.json").read_text()) == written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.keras"]
    assert written["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest() == sha256_of(source)
    assert (written["source"], written["file"], written["licence"]) == ("semseg/pspnet", "net.npz", "MIT")
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
