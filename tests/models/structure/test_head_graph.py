"""Bit-equal reloading in a fresh process is in tests/test_saved_and_loaded.py."""

import keras
import numpy as np
import pytest

from kseg import backbones, layers, models
from kseg.errors import ModelError, SettingsError
from tests.backbones.contracts import drawn_on, stages_of

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 41, 54, 3)).astype("float32")


def own_backbone():
    image = keras.Input((None, None, 3))
    return backbones.Backbone(image, stages_of(image), output_stride=16, name="own")


def test_a_drawn_model_trains_its_backbone_after_loading(tmp_path):
    """Backbone and model share their layers again."""
    backbone = own_backbone()
    drawn_on(backbone).save(tmp_path / "model.keras")
    model = models.load(tmp_path / "model.keras")
    assert type(model.backbone) is backbones.Backbone
    assert model.backbone.output_stride == 16
    assert list(model.backbone.stages) == [f"stage{n}" for n in range(1, 6)]
    assert {id(v) for v in model.backbone.variables} < {id(v) for v in model.variables}
    assert len(model.variables) == len(model.backbone.variables) + 2


def test_a_layer_called_twice_keeps_both_calls(tmp_path):
    """Shared inside of the backbone, and inside of the head."""
    image = keras.Input((None, None, 3))
    shared = keras.layers.Conv2D(3, 3, 2, "same", name="shared")
    first = shared(image)
    backbone = backbones.Backbone(image, {"stage1": first, "stage2": shared(first)})
    score = keras.layers.Conv2D(3, 1, name="score")
    fine, coarse = score(backbone.stages["stage1"]), score(backbone.stages["stage2"])
    x = keras.layers.Add()([fine, layers.ResizeLike()([coarse, fine])])
    logits = layers.ResizeLike(dtype="float32")([x, image])
    model = models.Segmenter(image, logits, backbone=backbone, num_classes=3)
    model.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    assert len(again.variables) == 4
    np.testing.assert_array_equal(np.asarray(again(IMAGE)), np.asarray(model(IMAGE)))


def test_a_model_that_was_loaded_can_be_saved_again(tmp_path):
    model = drawn_on(own_backbone())
    model.classes, model.working_size = ("a", "b", "c"), (40, 50)
    for name in ("one", "two"):
        model.save(tmp_path / f"{name}.keras")
        again = models.load(tmp_path / f"{name}.keras")
        np.testing.assert_array_equal(np.asarray(again(IMAGE)), np.asarray(model(IMAGE)))
        assert (again.classes, again.working_size) == (("a", "b", "c"), (40, 50))
        model = again


def test_layers_shared_between_backbone_and_head_are_refused():
    backbone = own_backbone()
    x = backbone.get_layer("own5")(backbone.stages["stage4"])
    logits = layers.ResizeLike(dtype="float32")([x, backbone.input])
    with pytest.raises(ModelError, match="share the layer 'own5'"):
        models.Segmenter(backbone.input, logits, backbone=backbone, num_classes=4)


def test_logits_of_another_image_are_refused():
    other = keras.Input((None, None, 3), name="other")
    logits = keras.layers.Conv2D(3, 1)(other)
    with pytest.raises(ModelError, match="'other'"):
        models.Segmenter(other, logits, backbone=own_backbone(), num_classes=3)


def test_no_backbone_is_refused():
    image = keras.Input((None, None, 3))
    graph = keras.Model(image, keras.layers.Conv2D(3, 1)(image))
    with pytest.raises(SettingsError, match="from_classifier"):
        models.Segmenter(image, graph.output, backbone=graph, num_classes=3)
